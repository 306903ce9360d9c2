package allocator

import (
	"encoding/json"
	"fmt"
)

// sessionDocument is the form in which a day's sessions are stored.
type sessionDocument struct {
	ID         string          `json:"id,omitempty"`
	From       string          `json:"from"`
	Until      string          `json:"until"`
	SlotLength int             `json:"slotLength"`
	Capacity   int             `json:"capacity"`
	Services   []ServiceCode   `json:"services"`
	Breaks     []breakDocument `json:"breaks,omitempty"`
	Stopped    bool            `json:"stopped,omitempty"`
	Invited    bool            `json:"invited,omitempty"`
}

type breakDocument struct {
	From  string `json:"from"`
	Until string `json:"until"`
}

// EncodeSessions writes sessions as the JSON that ledgers store.
func EncodeSessions(sessions []Session) []byte {
	docs := make([]sessionDocument, len(sessions))
	for i, s := range sessions {
		docs[i] = sessionDocument{
			ID: s.ID, From: s.From.String(), Until: s.Until.String(), SlotLength: s.SlotLength, Capacity: s.Capacity,
			Services: s.Services, Stopped: s.Stopped, Invited: s.Invited,
		}
		for _, b := range s.Breaks {
			docs[i].Breaks = append(docs[i].Breaks, breakDocument{b.From.String(), b.Until.String()})
		}
	}
	out, err := json.Marshal(docs)
	if err != nil {
		panic(fmt.Sprintf("sessions are plain data: %v", err))
	}
	return out
}

// DecodeSessions reads what EncodeSessions wrote.
func DecodeSessions(data []byte) ([]Session, error) {
	var docs []sessionDocument
	if err := json.Unmarshal(data, &docs); err != nil {
		return nil, fmt.Errorf("stored sessions: %w", err)
	}
	sessions := make([]Session, len(docs))
	for i, d := range docs {
		s := Session{
			ID: d.ID, SlotLength: d.SlotLength, Capacity: d.Capacity, Services: d.Services, Stopped: d.Stopped, Invited: d.Invited,
		}
		var err error
		if s.From, s.Until, err = timesOfDay(d.From, d.Until); err != nil {
			return nil, fmt.Errorf("stored session %d: %w", i, err)
		}
		for _, b := range d.Breaks {
			var pause Break
			if pause.From, pause.Until, err = timesOfDay(b.From, b.Until); err != nil {
				return nil, fmt.Errorf("stored session %d: %w", i, err)
			}
			s.Breaks = append(s.Breaks, pause)
		}
		sessions[i] = s
	}
	return sessions, nil
}

func timesOfDay(from, until string) (f, u TimeOfDay, err error) {
	if f, err = ParseTimeOfDay(from); err != nil {
		return 0, 0, err
	}
	u, err = ParseTimeOfDay(until)
	return f, u, err
}
