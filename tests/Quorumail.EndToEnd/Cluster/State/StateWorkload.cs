using System.Diagnostics;
using System.Globalization;
using Quorumail.EndToEnd.Cluster.Lab;

namespace Quorumail.EndToEnd.Cluster.State;

/// <summary>
/// Clients of all nodes, who write, compare and set, delete and read fresh until they are told to stop, however it is
/// answered. Half of the calls write a key of their own once; the others share some keys, which change every few seconds so
/// that no history is too long to be judged.
/// </summary>
internal sealed class StateWorkload : IAsyncDisposable
{
    private const int ClientsPerNode = 2;
    private const int SharedKeys = 5;
    private const int LargeValue = 10_000;

    private static readonly TimeSpan Pace = TimeSpan.FromMilliseconds(20);
    private static readonly TimeSpan Epoch = TimeSpan.FromSeconds(2);

    private readonly CancellationTokenSource _stop = new();
    private readonly long _start = Stopwatch.GetTimestamp();
    private readonly string _name;
    private readonly Task _running;

    private StateWorkload(IReadOnlyList<LabNode> nodes, string name, int seed, StateLedger ledger)
    {
        _name = name;
        _running = Task.WhenAll(
            from node in nodes
            from i in Enumerable.Range(0, ClientsPerNode)
            let number = (node.Index * ClientsPerNode) + i
            select Task.Run(() => RunAsync(node, number, new Random(seed + number), ledger)));
    }

    /// <summary>Begins.</summary>
    /// <param name="nodes">Who is asked.</param>
    /// <param name="name">A part of every key: unique for the cluster.</param>
    /// <param name="seed">Decides who asks what.</param>
    /// <param name="ledger">Records it.</param>
    public static StateWorkload Start(IReadOnlyList<LabNode> nodes, string name, int seed, StateLedger ledger) => new(nodes, name, seed, ledger);

    /// <summary>Ends; every call under way is waited for.</summary>
    public async Task StopAsync()
    {
        await _stop.CancelAsync();
        await _running;
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        _stop.Dispose();
    }

    private async Task RunAsync(LabNode node, int number, Random random, StateLedger ledger)
    {
        var name = string.Create(CultureInfo.InvariantCulture, $"c{number}");
        using var client = new StateClient(node, name, ledger);
        using var pace = new PeriodicTimer(Pace);
        for (var i = 0; !_stop.IsCancellationRequested; i++)
        {
            var value = string.Create(CultureInfo.InvariantCulture, $"{name}.{i}.").PadRight(random.Next(50) == 0 ? LargeValue : 20, 'x');
            var epoch = (int)(Stopwatch.GetElapsedTime(_start) / Epoch);
            var shared = string.Create(CultureInfo.InvariantCulture, $"shared/{_name}/{epoch}-{random.Next(SharedKeys)}");
            await (random.Next(20) switch
            {
                < 10 => client.SetAsync(string.Create(CultureInfo.InvariantCulture, $"{StateLedger.OncePrefix}{_name}/{name}-{i}"), value, CancellationToken.None),
                < 13 => client.SetAsync(shared, value, CancellationToken.None),
                < 16 => client.CompareAndSetAsync(shared, value, CancellationToken.None),
                < 17 => client.DeleteAsync(shared, CancellationToken.None),
                _ => client.ReadAsync(shared, CancellationToken.None),
            });
            await pace.WaitForNextTickAsync(CancellationToken.None);
        }
    }
}
