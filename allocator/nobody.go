package allocator

import (
	"fmt"
	"io"
	"log/slog"
)

// nobody is how a person is written where nothing personal may be: wherever somebody prints more than was meant.
const nobody = "[a person]"

// Format writes no detail, whatever the verb, also of a person within something else.
func (Person) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, nobody) }

// LogValue keeps details out of structured logs, which would write all fields.
func (Person) LogValue() slog.Value { return slog.StringValue(nobody) }
