# shellcheck shell=bash
# What the scripts of every example share. They source it from their own folder.
#
#     EXAMPLE    the name of this run, the folder's if not given; everything it makes is named or labelled after it
#     MODE       proxy: nginx points once at cutover's proxy; nginx-reload: cutover writes nginx's configuration
#     WATCH      how long cutover watches a new release; 10s if not given
#     CUTOVER    the binary, if it is not in PATH
#
# ./up lays a copy of the folder under .run/$EXAMPLE, as a checkout on a server would lie there, and fills in the ports and
# addresses of this run. ./down ends what runs from there and removes what bears the label, and nothing else.
here=$PWD
export EXAMPLE=${EXAMPLE:-$(basename "$here")}
run=$here/.run/$EXAMPLE
# shellcheck disable=SC2034
label=cutover.example.name=$EXAMPLE
# Logins belong to this run, and not to whoever runs it.
export DOCKER_CONFIG=$run/docker

say() { echo "$EXAMPLE: $*" >&2; }
die() { say "$*"; exit 1; }

# Keeps settings for the other scripts: remember NAME…
remember() {
    local name
    mkdir -p "$run/docker"
    for name in "$@"; do printf 'export %s=%q\n' "$name" "${!name}"; done >"$run/stage.env"
}

# Takes them up again.
recall() {
    [ -e "$run/stage.env" ] || die "is not up; ./up brings it up"
    # shellcheck disable=SC1091
    . "$run/stage.env"
}

# Lays the folder out: lay_out NAME… copies these files and folders.
lay_out() {
    mkdir -p "$run"
    tar --create "$@" | tar --extract --directory "$run"
}

# Fills in what differs in this run: fill_in FILE SED-EXPRESSION…
fill_in() {
    local file=$run/$1 args=()
    shift
    for expression in "$@"; do args+=(-e "$expression"); done
    sed -i "${args[@]}" "$file"
}

# Fills in all configurations: the name, how long a release is watched (WATCH), and what else differs.
fill_in_configurations() {
    local file
    for file in $(cd "$run" && echo cutover.toml */cutover.toml); do
        fill_in "$file" "s/$(basename "$here")/$EXAMPLE/" "s/^watch = \"[^\"]*\"/watch = \"${WATCH:-10s}\"/" "$@"
    done
}

# Shows what a command says only if it fails.
quietly() {
    local log
    log=$(mktemp)
    if ! "$@" >"$log" 2>&1; then
        cat "$log" >&2
        rm -f "$log"
        die "failed: $*"
    fi
    rm -f "$log"
}

# cutover, with this run's state and configuration.
cutover() {
    (cd "$run" && exec "${CUTOVER:-cutover}" --state "$run/state" --config "$(config)" "$@")
}

config() {
    if [ "$MODE" = proxy ]; then echo "$run/cutover.toml"; else echo "$run/$MODE/cutover.toml"; fi
}

# A program that must be there: need PROGRAM PACKAGE.
need() {
    command -v "$1" >/dev/null || die "$1 is missing; on Debian: apt-get install $2"
}

# Waits until a command succeeds: until_true SECONDS COMMAND…
until_true() {
    local until=$((SECONDS + $1))
    shift
    until "$@"; do
        [ $SECONDS -lt $until ] || die "waited in vain for: $*"
        sleep 0.1
    done
}

for part in engine sweep; do
    # shellcheck disable=SC1090
    . "$here/../images/$part.sh"
done
