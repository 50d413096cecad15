from django.urls import path
from reports import views

urlpatterns = [
    path("", views.page, name="page"),
    path("uploads", views.uploads),
    path("reports", views.reports),
    path("orders", views.orders, name="orders"),
    path("orders.csv", views.orders_csv, name="orders_csv"),
]
