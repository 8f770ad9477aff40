defmodule Mixdemo do
  @moduledoc "What the tests ask of the service."

  @doc "Everything that an upgrade may lose, in one line."
  def report do
    inspect(
      count: Mixdemo.Counter.bump(),
      state: :sys.get_state(Mixdemo.Counter),
      port: Application.get_env(:mixdemo, :port),
      greeting: Application.get_env(:mixdemo, :greeting),
      origin: Application.get_env(:mixdemo, :origin),
      one: describe(1),
      text: describe("a"),
      enum: Enum.map([1], &describe/1)
    )
  end

  @doc "What the protocol says of a value; a value that it is not implemented for is unknown."
  def describe(value) do
    Mixdemo.Shape.describe(value)
  rescue
    Protocol.UndefinedError -> "unknown"
  end
end
