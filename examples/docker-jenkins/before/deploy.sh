#!/bin/bash
# What this example replaces: the last stage of the Jenkinsfile. Kept for reading.

docker pull localhost:5000/shop/app

if docker ps | grep -q blue; then                      # any container with that word in its line
    NEW=green; IP=172.20.0.3; OLD=blue
else
    NEW=blue; IP=172.20.0.2; OLD=green
fi

docker run -d --name $NEW --network deploy --ip $IP -v /srv/$NEW:/data localhost:5000/shop/app   # fails if a stopped one has the name

while true; do                                         # for ever, if it never comes up
    sleep 10
    curl -s http://$IP:8080/ && break                  # an error page is an answer, too
done

ssh root@nginx "echo 'set \$service_url http://$IP:8080;' > /etc/nginx/conf.d/service-url.inc; nginx -s reload"
docker stop $OLD; docker rm $OLD                       # while nginx's old workers still send to it
docker rmi -f $(docker images -f dangling=true -q)     # the image that one would go back to
