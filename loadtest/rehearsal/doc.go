// Package rehearsal plays through the day that everything is built for, on one machine: `make rehearsal`. It starts a Redis Cluster of
// three masters and three replicas, a PostgreSQL of its own and two servers, and HAProxy before them with the configuration
// of deploy/haproxy. Then `muster loadtest` opens the doors, and while people book one Redis master is killed and one server is
// rolled. It holds when the load test's audit is clean and its thresholds are kept, and when `muster audit` finds inventory
// and ledger in agreement afterwards.
package rehearsal
