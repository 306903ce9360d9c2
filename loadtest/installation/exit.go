package installation

import "os"

// Exit tells how the last process ended: by which signal, or with which code. Call it once Ended is closed.
func (s *Server) Exit() *os.ProcessState { return s.current().State() }
