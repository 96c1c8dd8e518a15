#!/bin/bash
# What this example replaces. Kept for reading; docker-compose.blue-green.yml beside it held the second copy.

cd /srv/pos
docker login -u deployer -p $REGISTRY_PASSWORD registry.example.com   # the password is in `ps` and in the CI log

if grep -q app-blue conf.d/default.conf; then                         # a commented line would be "live", too
    NEW=green; OLD=blue
else
    NEW=blue; OLD=green
fi

COMPOSE="docker-compose -f docker-compose.yml -f docker-compose.production.yml -f docker-compose.blue-green.yml"
$COMPOSE pull app-$NEW
$COMPOSE up -d app-$NEW

for i in 1 2 3 4 5; do
    sleep 5
    STATUS=$($COMPOSE ps app-$NEW | grep Up)                          # "Up" is not ready, and "Up (unhealthy)" matches
    [ -n "$STATUS" ] && break
done                                                                  # after the fifth try it goes on all the same

sed -i "s/app-$OLD/app-$NEW/" conf.d/default.conf                     # git reset on the next deployment takes this back
$COMPOSE exec -T nginx nginx -s reload
$COMPOSE stop app-$OLD                                                # the reload has only been asked for: 502
docker image prune -af                                                # the way back goes with it
echo "deployed $NEW"
