# shellcheck shell=bash
# How everything of a run is found again and removed. Sourced by stage.sh.

# What runs from this run's folder: the agent, the proxy and supervisors, an nginx, a jar, an authority.
processes() {
    local process
    for process in /proc/[0-9]*; do
        case $(readlink "$process/exe" || true) in
            */cutover* | */nginx* | */java* | */pebble*) ;;
            *) continue ;;
        esac
        if tr '\0' ' ' <"$process/cmdline" | grep -qF "$run/" || find "$process/fd" -lname "$run/*" -print -quit | grep -q .; then
            echo "${process#/proc/}"
        fi
    done 2>/dev/null
}

# Removes everything of this run. Works after a run that was killed, too.
sweep() {
    local pids ids network try
    for try in $(seq 1 100); do
        mapfile -t pids < <(processes)
        [ ${#pids[@]} -gt 0 ] || break
        if [ "$try" -lt 5 ]; then kill "${pids[@]}"; else kill -KILL "${pids[@]}"; fi 2>/dev/null || true
        sleep 0.1
    done
    for network in $(networks); do
        docker ps --all --quiet --filter "network=$network"
    done | cat - <(docker ps --all --quiet --filter "label=$label") <(docker ps --all --quiet --filter "label=cutover.state=$run/state") \
        <(docker ps --all --quiet --filter "label=com.docker.compose.project=$EXAMPLE") | sort -u |
        xargs -r docker rm --force --volumes >/dev/null
    networks | xargs -r docker network rm >/dev/null
    { docker volume ls --quiet --filter "label=$label"
      docker volume ls --quiet --filter "label=com.docker.compose.project=$EXAMPLE"; } | sort -u | xargs -r docker volume rm >/dev/null
    mapfile -t ids < <(docker image ls --quiet --filter "label=$label" | sort -u)
    [ ${#ids[@]} -eq 0 ] || docker image rm --force "${ids[@]}" >/dev/null
    rm -rf "$run"
    rmdir "$here/.run" 2>/dev/null || true
}

networks() {
    { docker network ls --quiet --filter "label=$label"
      docker network ls --quiet --filter "label=com.docker.compose.project=$EXAMPLE"; } | sort -u
}
