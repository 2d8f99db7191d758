using System.Globalization;
using Quorumail.Server.Torture.Cluster;
using Quorumail.Server.Torture.Ledger;
using Quorumail.Server.Torture.Load;

namespace Quorumail.Server.Torture;

/// <summary>Mail that is sent to every node of a cluster at once, until told otherwise.</summary>
internal sealed class MailTraffic : IAsyncDisposable
{
    /// <summary>A node without a majority answers after 10 s; one that stands still does not answer.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(15);

    private readonly CancellationTokenSource _stop = new();
    private readonly TorturePlan _plan;
    private readonly LoadClient[] _clients;
    private readonly Task _running;

    private MailTraffic(TorturePlan plan, IReadOnlyList<TortureNode> nodes, string name, int seed, CancellationToken token)
    {
        _plan = plan;
        _clients = [.. nodes.Select((node, index) => new LoadClient(new LoadPlan
        {
            Address = node.Smtp.Address,
            Port = node.Smtp.Port,
            Patience = Patience,
            Name = $"{name}-{node.Name}",
            Sessions = plan.Sessions,
            HasLarge = true,
            Sender = $"sender@{plan.Domain}",
            Recipient = number => string.Create(CultureInfo.InvariantCulture, $"r{number}@{plan.Domain}"),
            Seed = unchecked((seed * 397) + index),
        }))];
        _running = Task.WhenAll(_clients.Select(client => client.RunAsync(_stop.Token, token)));
    }

    /// <summary>Every message that was begun and what came of it.</summary>
    public IEnumerable<SentMessage> Sent => _clients.SelectMany(client => client.Sent);

    /// <summary>How many messages were begun.</summary>
    public int Count => _clients.Sum(client => client.Sent.Count);

    /// <summary>Messages that were answered 250 so far.</summary>
    public long Acknowledged => _clients.Sum(client => client.Acknowledged);

    /// <summary>Begins.</summary>
    /// <param name="plan">How many sessions, and to whom.</param>
    /// <param name="nodes">Whom.</param>
    /// <param name="name">Begins every message's id: unique.</param>
    /// <param name="seed">Draws sizes, bodies and choices.</param>
    /// <param name="token">Ends it at once.</param>
    public static MailTraffic Start(TorturePlan plan, IReadOnlyList<TortureNode> nodes, string name, int seed, CancellationToken token) =>
        new(plan, nodes, name, seed, token);

    /// <summary>Waits until every node has answered 250 to a message that was begun after the call, or the limit is over.</summary>
    public async Task<bool> UntilAllTakeMailAsync(TimeSpan limit, CancellationToken token)
    {
        // Each session has at most one message under way.
        var counts = _clients.Select(client => client.Acknowledged + _plan.Sessions).ToArray();
        try
        {
            await Task.WhenAll(_clients.Select((client, index) => client.UntilAcknowledgedAsync(counts[index] + 1, limit, token)));
            return true;
        }
        catch (TimeoutException)
        {
            return false;
        }
    }

    /// <summary>The longest time in which no node answered 250, from a timestamp to another.</summary>
    public TimeSpan LongestGap(long from, long to) =>
        Ledger.LongestGap.Of(Sent.Where(message => message.Outcome == SendOutcome.Acknowledged).Select(message => message.Returned), from, to);

    /// <summary>Ends it; every message under way is waited for.</summary>
    public async Task StopAsync()
    {
        await _stop.CancelAsync();
        await _running;
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _running.ContinueWith(static _ => { }, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
        _stop.Dispose();
    }
}
