// Package chaos breaks real processes while people use them, and looks at what is left.
//
// Each scenario starts an installation of its own, lets a crowd in, injects one kind of fault for some seconds, ends it, and
// touches nothing any more: within a minute every server must serve every shard again and, once the crowd has gone,
// inventory must equal ledger. Then the checkers judge everything that any client was told, `muster audit` must find
// nothing, and no server may use more goroutines, files or connections than before.
//
//	go test ./loadtest/chaos                                        one short scenario
//	go test ./loadtest/chaos -run TestChaos -chaos.seed=1           every scenario once
//	go test ./loadtest/chaos -run TestChaos/redis-killed -chaos.seed=1
//	go test ./loadtest/chaos -run TestSoak -chaos.minutes=30 -timeout 45m   scenarios and mixtures at random
//
// What people want, which faults come and when follow from the seed; how the processes interleave does not. A scenario that
// failed once with its seed is therefore likely to fail again, and its folder of logs is kept.
package chaos
