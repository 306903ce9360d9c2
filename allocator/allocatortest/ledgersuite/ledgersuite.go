// Package ledgersuite is what every ledger must pass: each method's promise, every outcome of a record, repeats of
// everything, races of many callers, and a random workload compared with the model answer by answer.
//
// A ledger's test is a few lines:
//
//	func TestLedger(t *testing.T) {
//		ledgersuite.Run(t, func(t *testing.T) allocator.Ledger { … })
//	}
package ledgersuite

import (
	"testing"

	"muster/allocator"
)

// Run runs the whole suite. open gives a migrated, empty ledger for one test, and closes it by t.Cleanup; it is called
// once for each group of tests.
func Run(t *testing.T, open func(t *testing.T) allocator.Ledger) {
	groups := []struct {
		name string
		test func(t *testing.T, l allocator.Ledger)
	}{
		{"Installation", testInstallation},
		{"Catalogue", testCatalogue},
		{"Epochs", testEpochs},
		{"Record", testRecord},
		{"Evidence", testEvidence},
		{"Maximum", testMaximum},
		{"Batch", testBatch},
		{"Void", testVoid},
		{"Transition", testTransition},
		{"Move", testMove},
		{"Publish", testPublish},
		{"Impact", testImpact},
		{"Suspend", testSuspend},
		{"Plans", testPlans},
		{"State", testState},
		{"Payloads", testPayloads},
		{"Events", testEvents},
		{"Webhooks", testWebhooks},
		{"Authors", testAuthors},
		{"Trail", testTrail},
		{"TrailRaces", testTrailRaces},
		{"Races", testRaces},
		{"PublishRaces", testPublishRaces},
		{"Workload", testWorkload},
	}
	for _, g := range groups {
		t.Run(g.name, func(t *testing.T) { g.test(t, open(t)) })
	}
}
