# shellcheck shell=bash
# What an example has of the engine: a network that is free, Compose, a registry. Sourced by stage.sh.

# The first three numbers of a network that nobody uses: free_subnet PREFERRED. A run with the folder's own name gets its own.
#
# Prefer one from 10.0.0.0/8: 172.17 to 172.31 are where the engine lays the networks that name none, a whole 172.x each.
free_subnet() {
    local used start number
    used=$(ip -4 route show | cut -d' ' -f1; docker network ls --quiet |
        xargs -r docker network inspect --format '{{range .IPAM.Config}}{{.Subnet}}{{"\n"}}{{end}}')
    start=${1##*.}
    [ "$EXAMPLE" = "$(basename "$here")" ] || start=$((10 + $(cksum <<<"$EXAMPLE" | cut -d' ' -f1) % 240))
    for number in $(seq "$start" 254) $(seq 1 "$start"); do
        if ! overlaps "${1%.*}.$number.0/24" $used && engine_takes "${1%.*}.$number.0/24"; then
            echo "${1%.*}.$number"
            return
        fi
    done
    die "no free network under ${1%.*}"
}

# Whether a network shares an address with any of the others: overlaps NETWORK OTHER…
overlaps() {
    local own=$1 other bits
    shift
    for other in "$@"; do
        [[ $other =~ ^[0-9.]+(/[0-9]+)?$ ]] || continue
        [[ $other == */* ]] || other+=/32
        bits=$((${own#*/} < ${other#*/} ? ${own#*/} : ${other#*/}))
        [ $(($(as_number "${own%/*}") >> (32 - bits))) -ne $(($(as_number "${other%/*}") >> (32 - bits))) ] || return 0
    done
    return 1
}

as_number() {
    local IFS=. a b c d
    read -r a b c d <<<"$1"
    echo $(((a << 24) + (${b:-0} << 16) + (${c:-0} << 8) + ${d:-0}))
}

# Asks the engine itself, which also knows what it is about to give away.
engine_takes() {
    docker network create --label "$label" --subnet "$1" "$EXAMPLE-probe" >/dev/null 2>&1 && docker network rm "$EXAMPLE-probe" >/dev/null
}

# Only one ./up at a time looks for what is free; the rest of the script has it.
one_at_a_time() {
    local cache=${CUTOVER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/cutover-examples}
    mkdir -p "$cache"
    exec 8>"$cache/up.lock"
    flock 8
}

# Compose, with this run's files; the old tool if the new one is not there.
compose() {
    local tool=(docker-compose)
    ! docker compose version >/dev/null 2>&1 || tool=(docker compose)
    (cd "$run" && quietly "${tool[@]}" -f docker-compose.yml -f "docker-compose.$STAGE.yml" "$@")
}

# A registry with a login on 127.0.0.1:$REGISTRY_PORT, and the login.
start_registry() {
    local password
    mkdir -p "$run/registry"
    password=$(head -c 12 /dev/urandom | base64 | tr -d '+/=')
    if ! docker container inspect "$EXAMPLE-registry" >/dev/null 2>&1; then
        docker run --rm --label "$label" cutover-example/registry htpasswd -Bbn deployer "$password" >"$run/registry/htpasswd"
        docker run --detach --name "$EXAMPLE-registry" --label "$label" --publish "127.0.0.1:$REGISTRY_PORT:5000" \
            --volume "$run/registry:/auth:ro" cutover-example/registry >/dev/null
        until_true 30 curl --silent --output /dev/null "http://127.0.0.1:$REGISTRY_PORT/v2/"
        local name
        for name in 127.0.0.1 localhost; do
            docker login --username deployer --password-stdin "$name:$REGISTRY_PORT" <<<"$password" >/dev/null 2>&1 ||
                die "the registry does not let us in"
        done
    fi
}
