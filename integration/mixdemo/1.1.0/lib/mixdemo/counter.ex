defmodule Mixdemo.Counter do
  @moduledoc false
  use GenServer

  def start_link(_), do: GenServer.start_link(__MODULE__, 0, name: __MODULE__)
  def bump, do: GenServer.call(__MODULE__, :bump)

  @impl true
  def init(count), do: {:ok, %{count: count, label: "new"}}

  @impl true
  def handle_call(:bump, _from, state), do: {:reply, state.count + 1, %{state | count: state.count + 1}}

  @impl true
  def code_change({:down, _}, state, _extra), do: {:ok, state.count}
  def code_change(_, count, _extra), do: {:ok, %{count: count, label: "upgraded"}}
end
