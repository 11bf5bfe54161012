#!/bin/sh
# Creates the secrets that docker-compose.yml names: one random file each, in deploy/secrets or in the given folder. Existing
# files stay, so it can be run again.
#
# In a container a file keeps its owner and mode. So all users may read each file, and outside the containers only the owner can
# open the folder.
set -eu
umask 077

folder=${1:-$(dirname "$0")/secrets}
mkdir -p "$folder"
chmod 700 "$folder"

random() {
    dd if=/dev/urandom bs=32 count=1 2>/dev/null | od -A n -t x1 | tr -d ' \n'
}

keep() { # NAME VALUE
    if [ -s "$folder/$1" ]; then
        return
    fi
    printf '%s\n' "$2" >"$folder/.new"
    chmod 644 "$folder/.new"
    mv "$folder/.new" "$folder/$1"
}

keep postgres-superuser "$(random)"
# A service is a folder in services/.
for service in "$(dirname "$0")"/../services/*-service; do
    service=${service##*/}
    name=$(printf '%s' "$service" | tr - _)
    keep "postgres-$service" "$(random)"
    keep "rabbitmq-$service" "$(random)"
    keep "$service-database-url" "postgres://$name:$(cat "$folder/postgres-$service")@postgres/$name"
    keep "$service-amqp-url" "amqp://$service:$(cat "$folder/rabbitmq-$service")@rabbitmq/%2f"
done
keep secret-key "$(random)"
keep mail-sealing-key "$(random)"
keep grafana-admin "$(random)"
# HAProxy's list of users who may see the page of the mails.
keep mail-page "userlist people
    user mails insecure-password $(random)"
# Not random: the mail server's URL, which contains a password for a real server.
keep smtp-url 'smtp://maildev:1025?tls=none'

echo "The secrets are in $folder."
