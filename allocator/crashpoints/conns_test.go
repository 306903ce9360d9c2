package crashpoints

import (
	"encoding/binary"
	"io"
	"net"
	"slices"
	"testing"
)

// message is one of the driver's to a database.
func message(kind byte, body string) []byte {
	m := binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(body)+4))
	return append(m, body...)
}

func TestCommitsAreSeen(t *testing.T) {
	insert := message('P', "stmt1\x00WITH claim AS (…) INSERT INTO bookings (…)\x00")
	for _, test := range []struct {
		name string
		sent [][]byte
		want []bool
	}{
		{"a transaction", [][]byte{message('Q', "BEGIN ISOLATION LEVEL SERIALIZABLE read write\x00"), message('B', "\x00other\x00"), message('Q', "commit\x00")}, []bool{false, false, true}},
		{"one that only reads", [][]byte{message('Q', "BEGIN ISOLATION LEVEL SERIALIZABLE read only; SET x\x00"), message('Q', "commit\x00")}, []bool{false, false}},
		{"one that is rolled back", [][]byte{message('Q', "begin\x00"), message('Q', "rollback\x00"), message('Q', "commit\x00")}, []bool{false, false, false}},
		{"a statement by itself", [][]byte{insert, append(message('B', "\x00stmt1\x00…"), message('S', "")...)}, []bool{false, true}},
		{"the same within a transaction", [][]byte{insert, message('Q', "begin\x00"), message('B', "\x00stmt1\x00"), message('Q', "commit\x00")}, []bool{false, false, false, true}},
		{"another statement", [][]byte{insert, message('B', "\x00stmt2\x00")}, []bool{false, false}},
		{"the beginning of a session", [][]byte{{0, 0, 0, 8, 4, 210, 22, 47}}, []bool{false}},
		{"half a message", [][]byte{{'Q', 0, 0}, message('Q', "commit\x00")[:7]}, []bool{false, false}},
	} {
		c := &databaseConn{plan: new(Plan)}
		var got []bool
		for _, b := range test.sent {
			got = append(got, c.commits(b))
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

// A commit passes its three points in order, while a call of its step is under way and not else.
func TestCommitPoints(t *testing.T) {
	for _, moment := range []string{before, sent, after} {
		p, died := deaths(t, "void-commit/"+moment)
		client, server := net.Pipe()
		go func() {
			buffer := make([]byte, 1024)
			for {
				if _, err := server.Read(buffer); err != nil {
					return
				}
				if _, err := server.Write([]byte("C")); err != nil {
					return
				}
			}
		}()
		c := &databaseConn{Conn: client, plan: p}
		transaction := func() error {
			for _, text := range []string{"begin\x00", "commit\x00"} {
				if _, err := c.Write(message('Q', text)); err != nil {
					return err
				}
				if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
					return err
				}
			}
			return nil
		}
		if err := transaction(); err != nil || len(*died) > 0 {
			t.Errorf("another step's commit: %v, died at %q", err, *died)
		}
		if err := p.Around("void", transaction); err != nil || !slices.Equal(*died, []string{"void-commit/" + moment + " 1"}) {
			t.Errorf("its own commit: %v, died at %q", err, *died)
		}
		client.Close()
		server.Close()
	}
}

// Requests of one connection each pass the points of their own reply, once, however many pieces it has.
func TestReplyPoints(t *testing.T) {
	p, died := deaths(t, "reply-confirm/after")
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	c := &clientConn{Conn: server, plan: p, expecting: true}
	for _, line := range []string{"POST /v1/holds HTTP/1.1", "POST /v1/holds/x/confirm HTTP/1.1", "GET /v1/holds/x?confirm HTTP/1.1", "POST /v1/holds/y/confirm HTTP/1.1"} {
		go func() {
			_, _ = client.Write([]byte(line + "\r\n\r\n")) // a failure shows in what the server's side reads
			_, _ = io.ReadFull(client, make([]byte, 4))
		}()
		if _, err := c.Read(make([]byte, 1024)); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, err := c.Write([]byte("ok")); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !slices.Equal(*died, []string{"reply-confirm/after 1"}) || p.passed != 2 {
		t.Errorf("died at %q, passed %d times, want 2", *died, p.passed)
	}
}
