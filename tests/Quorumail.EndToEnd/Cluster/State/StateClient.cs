using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Quorumail.Cluster.Tests.Linearizability;
using Quorumail.EndToEnd.Cluster.Lab;

namespace Quorumail.EndToEnd.Cluster.State;

/// <summary>A client of one node, whose calls a ledger records as the client sees them.</summary>
internal sealed class StateClient(LabNode node, string name, StateLedger ledger) : IDisposable
{
    /// <summary>How long a client waits: not as long as the node would, so that some answers come too late.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(4);

    private readonly StateConnection _connection = new(node.Host, LabNode.HttpPort);
    private readonly Dictionary<string, StoredValue?> _seen = new(StringComparer.Ordinal);

    /// <summary>Sets a key.</summary>
    public async Task SetAsync(string key, string value, CancellationToken token)
    {
        var call = await CallAsync(new RegisterOperation(key, RegisterAction.Set) { Argument = value }, "PUT", value, null, token);
        Remember(key, call.IsAnswered ? new StoredValue(value, call.Version) : null, isKnown: call.IsAnswered);
    }

    /// <summary>Deletes a key.</summary>
    public async Task DeleteAsync(string key, CancellationToken token)
    {
        var call = await CallAsync(new RegisterOperation(key, RegisterAction.Delete), "DELETE", "", null, token);
        Remember(key, null, isKnown: call.IsAnswered);
    }

    /// <summary>Reads a key, with what was acknowledged to anybody before.</summary>
    public async Task ReadAsync(string key, CancellationToken token)
    {
        var call = await CallAsync(new RegisterOperation(key, RegisterAction.Read), "GET", "", null, token);
        Remember(key, call.Operation.Result is { } value ? new StoredValue(value, call.Version) : null, isKnown: call.IsAnswered);
    }

    /// <summary>Sets a key if it still has what this client saw last; reads it first if it has seen nothing.</summary>
    public async Task CompareAndSetAsync(string key, string value, CancellationToken token)
    {
        if (!_seen.ContainsKey(key))
        {
            await ReadAsync(key, token);
        }

        if (_seen.TryGetValue(key, out var expected))
        {
            var condition = expected is null ? "If-None-Match: *\r\n" : string.Create(CultureInfo.InvariantCulture, $"If-Match: \"{expected.Version}\"\r\n");
            RegisterOperation operation = new(key, RegisterAction.CompareAndSet) { Argument = value, Expected = expected?.Value };
            var call = await CallAsync(operation, "PUT", value, condition, token);
            Remember(key, new StoredValue(value, call.Version), isKnown: call.IsAnswered && call.Operation.IsDone);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _connection.Dispose();

    private void Remember(string key, StoredValue? value, bool isKnown)
    {
        if (isKnown)
        {
            _seen[key] = value;
        }
        else
        {
            _seen.Remove(key);
        }
    }

    private async Task<StateCall> CallAsync(RegisterOperation operation, string method, string body, string? header, CancellationToken token)
    {
        var target = "/api/cluster/state/" + operation.Key + (operation.Action == RegisterAction.Read ? "?read=linearizable" : "");
        var called = Stopwatch.GetTimestamp();
        var answer = await _connection.AskAsync(method, target, Encoding.ASCII.GetBytes(body), header, Patience, token);
        operation = operation with { Client = name, Called = called, Returned = Stopwatch.GetTimestamp() };
        var call = Judge(new StateCall(node.Index, operation) { Version = answer.Version, Status = answer.Status }, answer);
        ledger.Add(call);
        return call;
    }

    private static StateCall Judge(StateCall call, HttpAnswer answer)
    {
        var operation = call.Operation;
        return (answer.Status, operation.Action) switch
        {
            (200, RegisterAction.Read) => call with { Operation = operation with { Result = Encoding.ASCII.GetString(answer.Body.Span) } },
            (200, _) or (404, RegisterAction.Read or RegisterAction.Delete) => call,
            (412, RegisterAction.CompareAndSet) => call with { Operation = operation with { IsDone = false } },
            (0, _) => Ended(call, answer.WasSent ? RegisterOutcome.Unknown : RegisterOutcome.Refused),
            (503, _) => Ended(call, IsUnknown(answer) ? RegisterOutcome.Unknown : RegisterOutcome.Refused),
            _ => Ended(call, RegisterOutcome.Unknown) with { IsUnexpected = true },
        };
    }

    private static StateCall Ended(StateCall call, RegisterOutcome outcome) => call with { Operation = call.Operation with { Outcome = outcome } };

    private static bool IsUnknown(HttpAnswer answer) =>
        JsonElement.Parse(answer.Body.Span).TryGetProperty("outcome", out var outcome) && outcome.GetString() is "unknown";
}
