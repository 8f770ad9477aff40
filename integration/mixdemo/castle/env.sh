
# --- Forecastle: Castle integration (generated, do not edit) ---
case $RELEASE_COMMAND in
start | daemon)
	export ELIXIR_ERL_OPTIONS="$ELIXIR_ERL_OPTIONS -heart" HEART_NO_KILL=TRUE
	mv "$RELEASE_ROOT/releases/castle-restart-pending" "$RELEASE_ROOT/releases/castle-restart-consumed.$$" 2>/dev/null || :
	: >"$RELEASE_ROOT/releases/castle-was-here"
	;;
esac
# --- Forecastle: end Castle integration ---
