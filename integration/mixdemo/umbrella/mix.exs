Code.require_file("rel/upgrade.exs", __DIR__)

defmodule Mixdemo.Umbrella.MixProject do
  use Mix.Project

  @version __DIR__ |> Path.join("VERSION") |> File.read!() |> String.trim()

  def project, do: [apps_path: "apps", version: @version, deps: [], start_permanent: true, releases: [mixdemo: release()]]

  defp release do
    [
      applications: [mixdemo: :permanent, mixdemo_words: :permanent],
      include_executables_for: [:unix],
      steps: [:assemble, &Upgrade.step/1, :tar]
    ]
  end
end
