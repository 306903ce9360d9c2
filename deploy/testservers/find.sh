# shellcheck shell=bash
# Where the servers' programs are; sourced by install and run.

redis_least=7     # scripts and cluster commands used by the program
postgres_least=15

# find_redis prints the path of a redis-server that is new enough.
find_redis() {
	local server version
	server=${MUSTER_TEST_REDIS_SERVER:-$(command -v redis-server)} || return 1
	command -v redis-cli >/dev/null || [[ -x $(dirname "$server")/redis-cli ]] || return 1
	version=$("$server" --version 2>/dev/null) || return 1
	[[ $version =~ v=([0-9]+)\. && ${BASH_REMATCH[1]} -ge $redis_least ]] || return 1
	echo "$server"
}

# find_postgres prints the folder of the newest PostgreSQL programs that are new enough: on PATH, or where Debian
# keeps them off PATH.
find_postgres() {
	local candidate folder version best='' best_version=0
	for candidate in "${MUSTER_TEST_PG_BIN:-/nowhere}/postgres" "$(command -v postgres)" \
		/usr/lib/postgresql/*/bin/postgres; do
		[[ -x $candidate ]] || continue
		folder=$(dirname "$(readlink -f "$candidate")")
		[[ -x $folder/initdb ]] || continue
		[[ $("$folder/postgres" --version 2>/dev/null) =~ ([0-9]+) ]] || continue
		version=${BASH_REMATCH[1]}
		if [[ $version -ge $postgres_least && $version -gt $best_version ]]; then
			best=$folder
			best_version=$version
		fi
	done
	[[ -n $best ]] && echo "$best"
}
