defprotocol Mixdemo.Shape do
  def describe(value)
end

defimpl Mixdemo.Shape, for: Integer do
  def describe(_), do: "a whole number"
end

defimpl Mixdemo.Shape, for: BitString do
  def describe(_), do: "a text"
end
