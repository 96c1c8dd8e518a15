#!/bin/bash
# What this example replaces: the runner called it as `sudo ./deploy.sh USER TAG`. Kept for reading.
DOCKER_USER=$1 TAG=$2

docker pull $DOCKER_USER/app:$TAG                      # root has no login: denied, and the script goes on

if curl -s localhost:8080 > /dev/null; then            # the live side is whoever answers first
    NEW_PORT=8081 OLD_PORT=8080 SITE=site-b
else
    NEW_PORT=8080 OLD_PORT=8081 SITE=site-a
fi

docker run -d --name app-$NEW_PORT -p $NEW_PORT:8080 $DOCKER_USER/app:$TAG

for i in {1..20}; do
    sleep 3
    if [ -n "$(curl -s localhost:$NEW_PORT/healthz)" ]; then break; fi   # any text is a sign of health
done

cp /etc/nginx/sites-available/$SITE.conf /etc/nginx/sites-enabled/app.conf
nginx -s reload                                        # not tested before; the old configuration would stay, silently

OLD=$(docker ps -q --filter publish=$OLD_PORT)
IMAGE=$(docker inspect --format '{{.Image}}' $OLD)
docker rm -f $OLD                                      # about a second of 502 begins
docker rmi $IMAGE                                      # and there is no way back
