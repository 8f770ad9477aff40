defmodule MixdemoWords do
  @moduledoc "An application beside the one that is upgraded, with an implementation of a protocol of Elixir's own."
  defstruct [:text]

  defimpl String.Chars do
    def to_string(word), do: word.text
  end
end
