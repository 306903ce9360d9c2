package main

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"muster/allocator/allocatortest/servers"
)

// The servers' user reads and writes, and changes no schema: deploy/kustomize/cockroachdb/setup.sql gives it these rights, and
// here they are all that the program needs to serve. The statements are CockroachDB's; PostgreSQL differs in two words.

// setUp runs setup.sql on an empty database, with users of this test's own, and gives the URLs of both.
func setUp(t *testing.T, database string) (owner, server string) {
	t.Helper()
	data, err := os.ReadFile("../../deploy/kustomize/cockroachdb/setup.sql")
	if err != nil {
		t.Fatal(err)
	}
	address, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	name := strings.TrimPrefix(address.Path, "/")
	connection, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close(t.Context())
	fitted := strings.NewReplacer("muster_owner", name+"_owner", "muster_server", name+"_server", "DATABASE muster", "DATABASE "+name,
		"SCHEMA muster.public", "SCHEMA public", "USER IF NOT EXISTS", "USER").Replace(string(data))
	for statement := range strings.SplitSeq(fitted, ";") {
		if strings.TrimSpace(statement) == "" || strings.Contains(statement, "CREATE DATABASE") {
			continue
		}
		if _, err := connection.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	// What CockroachDB gives with a database, PostgreSQL gives with its schema.
	if _, err := connection.Exec(t.Context(), "GRANT CREATE ON SCHEMA public TO "+name+"_owner"); err != nil {
		t.Fatal(err)
	}
	as := func(user string) string {
		u := *address
		u.User = url.User(name + user)
		return u.String()
	}
	return as("_owner"), as("_server")
}

func TestDeployedLedgerRights(t *testing.T) {
	owner, server := setUp(t, servers.Postgres(t))
	if code, _, complaints := run(t, "migrate", "--ledger", server); code != exitFailed {
		t.Errorf("the servers' user changed the schema: exit %d\n%s", code, complaints)
	}
	sites := write(t, "siteId,name,type,lines,postcode,timeZone\nLR001,Example,Pharmacies,1 High Street,LS1 4AP,Europe/London\n")
	capacity := write(t, fmt.Sprintf(`{"siteId":"LR001","date":%q,"sessions":[{"from":"10:00","until":"12:00","slotLength":10,"capacity":1,"services":["RSV:Adult"]}]}`+"\n", dayOf(soon())))
	for _, args := range [][]string{{"migrate"}, {"import", "sites", sites}, {"import", "capacity", "--create-services", capacity}} {
		if code, out, complaints := run(t, append(args, "--ledger", owner)...); code != exitDone {
			t.Fatalf("%v: exit %d\n%s%s", args, code, out, complaints)
		}
	}
	s := serve(t, "--data", t.TempDir(), "--ledger", server, "--secret-file", write(t, "a secret of enough bytes"))
	s.await("the server is ready", func() bool {
		reply, err := http.Get(s.ops + "/readyz")
		if err != nil {
			return false
		}
		defer reply.Body.Close()
		return reply.StatusCode == http.StatusOK
	})
	booked := s.confirm(s.hold("LR001", soon()), person(0)).want(201)
	s.call("POST", "/v1/bookings/"+booked.text("bookings.0.reference")+"/cancel", object{"reason": "test"},
		"Authorization", "Manage "+booked.text("bookings.0.manageToken")).want2xx()
}
