defprotocol Mixdemo.Shape do
  def describe(value)
end

defimpl Mixdemo.Shape, for: Integer do
  def describe(_), do: "a number"
end
