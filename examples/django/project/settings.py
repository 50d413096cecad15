"""A small project: the app `reports`, its own database, and Gristmill's Postgres to read results from."""

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).parents[1]


def variable(name):
    if name not in os.environ:
        raise ImproperlyConfigured(f"{name} is not set: docs/web.md says where its value comes from")
    return os.environ[name]


GRISTMILL_URL = variable("GRISTMILL_URL")
GRISTMILL_API_KEY = variable("GRISTMILL_API_KEY")
_RESULTS = urlsplit(variable("GRISTMILL_DSN"))

DATABASES = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "db.sqlite3"},
    "gristmill": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": _RESULTS.hostname,
        "PORT": _RESULTS.port,
        "NAME": _RESULTS.path.lstrip("/"),
        "USER": _RESULTS.username,
        "PASSWORD": unquote(_RESULTS.password or ""),
    },
}
DATABASE_ROUTERS = ["reports.routers.Results"]

SECRET_KEY = "only for this example"
DEBUG = True
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
ROOT_URLCONF = "project.urls"
INSTALLED_APPS = ["django.contrib.staticfiles", "reports"]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware", "django.middleware.csrf.CsrfViewMiddleware"]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
    }
]
STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR.parent / "web"]  # report.js
USE_TZ = True
