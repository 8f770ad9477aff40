// Package heart is the port program that Erlang's heart talks to, played by the agent: it hears the node's beats,
// and how the node means to end. The protocol is that of erts: heart.c, and of kernel: heart.erl.
//
//	beam.smp ── starts "heart" from BINDIR ──▶ program.go, which hands its stdin and stdout over a socket and ends
//	    │                                              │
//	    └───────── beats, the last word ──────────▶ heart.go, in PID 1
package heart

// Word is the last that a node's heart said before it fell silent. The exit status alone cannot tell a stop
// from a reboot: init:stop/0, init:reboot/0 and halt/0 all exit with 0.
type Word int

// The words.
const (
	Unheard  Word = iota // no heart ever spoke: the node died early, or has none
	Stopped              // it said that it shuts down and is not to be started again (init:stop)
	Closed               // it fell silent without a word: a reboot (init:reboot, release_handler) or a crash
	Crashing             // it said that it is about to write a crash dump
)
