defmodule Mixdemo.Application do
  @moduledoc false
  use Application

  def start(_type, _args) do
    Supervisor.start_link([Mixdemo.Counter], strategy: :one_for_one, name: Mixdemo.Supervisor)
  end
end
