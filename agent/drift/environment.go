package drift

import (
	"slices"
	"strings"
)

// ownParameters are those that OTP and Elixir set by themselves at run time (global, logger, net_kernel, group_history; elixir), and that no
// installation keeps.
var ownParameters = []string{
	"kernel:connect_all", "kernel:dist_nodelay", "kernel:inet_dist_connect_options", "kernel:inet_dist_listen_options",
	"kernel:logger", "kernel:shell_history", "kernel:shell_history_drop", "elixir:ansi_enabled",
}

// isOwnParameter knows a difference in one of them, or in a part of it.
func isOwnParameter(d Difference) bool {
	parameter, _, _ := strings.Cut(d.Subject, ".")
	return strings.HasPrefix(d.Kind, "environment-") && slices.Contains(ownParameters, parameter)
}
