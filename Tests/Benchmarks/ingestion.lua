-- A client of the event ingestor for wrk: sends the bodies in a folder in turn, and prints one line of JSON at the end.
--
--   wrk ... -s ingestion.lua URL -- FOLDER COUNT
local bodies, turn = {}, 0

function init(arguments)
    for index = 0, tonumber(arguments[2]) - 1 do
        local file = assert(io.open(arguments[1] .. "/" .. index, "rb"))
        local body = file:read("*a")
        file:close()
        bodies[#bodies + 1] = wrk.format("POST", nil, nil, body)
    end
    turn = math.random(#bodies)
end

function request()
    turn = turn % #bodies + 1
    return bodies[turn]
end

function done(summary, latency, requests)
    local errors = summary.errors
    print(string.format(
        '{"requests":%d,"seconds":%f,"failures":%d,"p50":%f,"p99":%f}',
        summary.requests, summary.duration / 1e6,
        errors.connect + errors.read + errors.write + errors.status + errors.timeout,
        latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
