-- Sends the requests of a file in turn, again from the first after the last.
-- Each stands after its length in eight digits.
local made, last = {}, 0

function init(arguments)
  local file = assert(io.open(arguments[1], "rb"))
  while true do
    local length = file:read(8)
    if not length then break end
    made[#made + 1] = file:read(tonumber(length))
  end
  file:close()
end

function request()
  last = last % #made + 1
  return made[last]
end
