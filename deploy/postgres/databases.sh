#!/bin/sh
# Creates one database and one user per service at the first start. No user can open another one's database. A service is a
# password file among the secrets: postgres-order-service.
set -eu

run() {
    psql --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --no-password --no-psqlrc --quiet "$@"
}

for secret in "${SECRETS:-/run/secrets}"/postgres-*-service; do
    service=${secret##*/postgres-}
    SECRET=$secret run --set name="$(printf '%s' "$service" | tr - _)" <<'SQL'
\set password `cat "$SECRET"`
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name"
    TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER builtin LOCALE 'C.UTF-8';
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
SQL
done

run --command 'REVOKE ALL ON DATABASE postgres FROM PUBLIC' --command 'REVOKE ALL ON DATABASE template1 FROM PUBLIC'
