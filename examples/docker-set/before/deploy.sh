#!/bin/bash
# What this example replaces. Kept for reading.
VERSION=$1
if [ -z "$VERSION" ]; then echo "usage: deploy.sh VERSION"; exit 1; fi
export $(cat /etc/catalogue.env | xargs)               # a password with a blank, and it is two variables

if docker ps --format '{{.Names}}' | grep -q set1; then OLD=set1 NEW=set2 PORT=8082; else OLD=set2 NEW=set1 PORT=8081; fi

docker run -d --name catalogue-$NEW --network shop -p $PORT:8080 \
    -e DB_HOST=$DB_HOST -e DB_USER=$DB_USER -e DB_PASSWORD=$DB_PASSWORD catalogue:$VERSION   # the password is in `ps`

for i in $(seq 1 10); do
    sleep 3
    CODE=$(curl -s -o /dev/null -w '%{http_code}' localhost:$PORT/products)
    [ "$CODE" -lt 600 ] && HEALTHY=1 && break          # 000, 404 and 500 are below 600
done

if [ -z "$HEALTHY" ]; then
    docker rm -f catalogue-$NEW                        # with its logs: nobody will know why
    exit 2
fi

echo "set \$service_url http://catalogue-$NEW:8080;" > /etc/catalogue/nginx/service-url.inc
docker exec nginx nginx -s reload                      # an error here is not looked at
docker stop catalogue-$OLD && docker rm catalogue-$OLD # at once: nginx's old workers still send to it
