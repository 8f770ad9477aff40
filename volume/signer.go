package volume

// Signer is who signed a package.
type Signer struct {
	Key     string `json:"key"`     // its id
	Comment string `json:"comment"` // that the signature covers
}

// least is the oldest schema that has room for the state. Agents refuse fields that they do not know, so that they
// never write a state without them: one that needs none stays readable for the agent before.
//
//	1  the first
//	2  Release.Signer, Removed
//	3  Release.Unproven and Boots, Failure.Boots, Failure.Package
//	4  Via, Left, Operation.Via, Release.Wanted, FirstBoot and LastBoot
//	5  Operation.Derived and Displaced
func (s State) least() int {
	if s.Operation != nil && s.Operation.Derived {
		return 5
	}
	if s.Left != "" || len(s.Via) > 0 || s.Operation != nil && len(s.Operation.Via) > 0 {
		return 4
	}
	least := 1
	if len(s.Removed) > 0 {
		least = 2
	}
	for _, r := range s.Releases {
		switch {
		case r.Wanted, !r.FirstBoot.IsZero(), !r.LastBoot.IsZero():
			return 4
		case r.Unproven:
			least = 3
		case r.Signer != (Signer{}):
			least = max(least, 2)
		}
	}
	for _, f := range s.Failed {
		if f.Package != "" {
			least = max(least, 3)
		}
	}
	return least
}
