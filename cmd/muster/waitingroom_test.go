package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"muster/allocator"
)

const (
	roomPath   = "/v1/services/RSV:Adult/waiting-room"
	passesPath = "/v1/waiting-room/passes"
)

// TestWaitingRoom: somebody comes before the opening, the server is restarted, they are drawn, called and book; and can check the
// draw without any server.
func TestWaitingRoom(t *testing.T) {
	everywhere(t, func(t *testing.T, args []string) {
		s := serve(t, args...)
		s.world("MA001", 2)
		opens := time.Now().Add(4 * time.Second).Truncate(time.Second)
		promised := s.staff("PUT", roomPath, object{"mode": "on", "openAt": opens.UTC().Format(time.RFC3339)}).want(200).text("state.commitment")
		joined := s.call("POST", "/v1/waiting-room/tickets", object{"service": "RSV:Adult", "area": "LS1"}).want(201)
		ticket := []string{"Waiting-Room-Ticket", joined.text("ticket")}
		if joined.text("phase") != "drawing" {
			t.Fatalf("%s", joined.body)
		}
		s.await("the ticket is counted", func() bool { return s.call("GET", roomPath, nil).number("state.drawn") == 1 })
		s.stop()

		s = serve(t, args...)
		s.call("POST", "/v1/holds", claim("MA001", soon())).want(429, allocator.CodeWaitingRoom)
		s.await("the owner of the ticket is called", func() bool {
			return s.call("GET", "/v1/waiting-room/ticket", nil, ticket...).want(200).text("phase") == "called"
		})
		pass := []string{"Waiting-Room-Pass", s.call("POST", passesPath, nil, ticket...).want(201).text("pass")}
		held := s.call("POST", "/v1/holds", claim("MA001", soon()), pass...).want(201).text("holdId")
		s.call("POST", "/v1/holds", claim("MA001", soon()), pass...).want(429, allocator.CodeWaitingRoom)
		s.confirm(held, person(1)).want(201)
		s.call("POST", "/v1/holds", claim("MA001", soon()), pass...).want(429, allocator.CodeWaitingRoom)

		room := s.call("GET", roomPath, nil).want(200)
		draw := func(commitment string) (code int, out string) {
			var stdout, stderr bytes.Buffer
			code = Main(t.Context(), []string{"draw", "--commitment", commitment, "--seed", room.text("state.seed"), ticket[1]}, &stdout, &stderr)
			return code, stdout.String()
		}
		if code, out := draw(promised); code != exitDone || !strings.HasPrefix(out, "0.") {
			t.Errorf("exit %d: %s", code, out)
		}
		if code, out := draw(room.text("state.seed")); code != exitFailed || out != "" {
			t.Errorf("exit %d: %s", code, out)
		}
		if !slices.ContainsFunc(scrape(t, s), func(m series) bool {
			return m.name == "muster_waiting_room_waiting" && m.labels["service"] == "RSV:Adult"
		}) {
			t.Error("the room does not show in the metrics")
		}
	})
}
