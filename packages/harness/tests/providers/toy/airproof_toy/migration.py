"""Gives the database its table: `python -m airproof_toy.migration`."""

from __future__ import annotations

import os

import psycopg

from airproof_toy.schema import TABLE

if __name__ == "__main__":
    with psycopg.connect(os.environ["DATABASE_URL_TEMPLATE"].format(database="toy")) as connection:
        connection.execute(TABLE)
