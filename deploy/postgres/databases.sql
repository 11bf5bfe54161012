-- One database and one user a service, when the server starts for the first time. Nobody gets into another one's.
\set password `cat /run/secrets/postgres-user-service`
CREATE ROLE user_service LOGIN PASSWORD :'password';
CREATE DATABASE user_service OWNER user_service
    TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER builtin LOCALE 'C.UTF-8';
REVOKE ALL ON DATABASE user_service FROM PUBLIC;

\set password `cat /run/secrets/postgres-order-service`
CREATE ROLE order_service LOGIN PASSWORD :'password';
CREATE DATABASE order_service OWNER order_service
    TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER builtin LOCALE 'C.UTF-8';
REVOKE ALL ON DATABASE order_service FROM PUBLIC;

\set password `cat /run/secrets/postgres-notification-service`
CREATE ROLE notification_service LOGIN PASSWORD :'password';
CREATE DATABASE notification_service OWNER notification_service
    TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER builtin LOCALE 'C.UTF-8';
REVOKE ALL ON DATABASE notification_service FROM PUBLIC;

REVOKE ALL ON DATABASE postgres FROM PUBLIC;
REVOKE ALL ON DATABASE template1 FROM PUBLIC;
