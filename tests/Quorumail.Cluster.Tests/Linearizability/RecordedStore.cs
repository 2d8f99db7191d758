using System.Collections.Concurrent;
using System.Diagnostics;
using System.Text;
using Quorumail.Cluster.State;

namespace Quorumail.Cluster.Tests.Linearizability;

/// <summary>A history that several clients write at once.</summary>
public sealed class RecordedHistory
{
    private readonly ConcurrentQueue<RegisterOperation> _operations = new();

    public IReadOnlyCollection<RegisterOperation> Operations => _operations;

    public static long Now => Stopwatch.GetTimestamp();

    public void Add(RegisterOperation operation) => _operations.Enqueue(operation);
}

/// <summary>One client of a <see cref="StateStore"/> whose operations are recorded as it sees them.</summary>
public sealed class RecordedStore(string client, StateStore store, RecordedHistory history)
{
    public async Task ReadAsync(string key, CancellationToken token)
    {
        string? result = null;
        await RecordAsync(new RegisterOperation(key, RegisterAction.Read), async operation =>
        {
            result = await store.GetStringAsync(key, ReadConsistency.Linearizable, token);
            return operation with { Result = result };
        });
    }

    public Task SetAsync(string key, string value, CancellationToken token) =>
        RecordAsync(new RegisterOperation(key, RegisterAction.Set) { Argument = value }, async operation =>
        {
            await store.SetAsync(key, value, token: token);
            return operation;
        });

    public Task DeleteAsync(string key, CancellationToken token) =>
        RecordAsync(new RegisterOperation(key, RegisterAction.Delete), async operation =>
        {
            await store.DeleteAsync(key, token);
            return operation;
        });

    public Task CompareAndSetAsync(string key, string expected, string value, CancellationToken token) =>
        RecordAsync(new RegisterOperation(key, RegisterAction.CompareAndSet) { Expected = expected, Argument = value }, async operation =>
            operation with
            {
                IsDone = (await store.CompareAndSetAsync(key, Encoding.UTF8.GetBytes(expected), Encoding.UTF8.GetBytes(value), token: token)).IsDone,
            });

    private async Task RecordAsync(RegisterOperation operation, Func<RegisterOperation, Task<RegisterOperation>> run)
    {
        operation = operation with { Client = client, Called = RecordedHistory.Now };
        try
        {
            operation = await run(operation);
        }
        catch (StateException exception)
        {
            operation = operation with
            {
                Outcome = exception.Fault == StateFault.Unknown ? RegisterOutcome.Unknown : RegisterOutcome.Refused,
            };
        }
        catch (OperationCanceledException)
        {
            operation = operation with { Outcome = RegisterOutcome.Unknown };
        }

        history.Add(operation with { Returned = RecordedHistory.Now });
    }
}
