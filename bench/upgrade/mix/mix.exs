# An application without code: what is timed is how a Mix release is asked, not what it answers.
defmodule App.MixProject do
  use Mix.Project

  def project do
    [app: :app, version: "1.0.0", deps: [], releases: [app: [include_executables_for: [:unix]]]]
  end

  def application, do: [extra_applications: [:logger]]
end
