using System.Collections.Concurrent;
using System.Globalization;
using Quorumail.EndToEnd.Cluster.Faults;
using Quorumail.EndToEnd.Cluster.Lab;
using Quorumail.Server.Torture.Ledger;
using Quorumail.Server.Torture.Load;
using Quorumail.Server.Torture.Sink;

namespace Quorumail.EndToEnd.Cluster.Mail;

/// <summary>
/// Clients that send mail to every node of a lab, each through the node's own loopback, and the next hop of all: what one
/// node says to the world is heard, whatever is done to the network between the nodes.
/// </summary>
internal sealed class MailWorkload : ClientRecord, IAsyncDisposable
{
    private const int SessionsPerNode = 3;

    // A node without a majority answers after 10 s; one that stands still does not answer.
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(15);
    private static readonly TimeSpan SettleLimit = TimeSpan.FromSeconds(120);

    private readonly CancellationTokenSource _stop = new();
    private readonly ClusterLab _lab;
    private readonly IReadOnlyCollection<ListedSuspect> _listedBefore;
    private readonly SmtpSink _sink;
    private readonly LoadClient[] _clients;
    private readonly ConcurrentQueue<SentMessage> _others = new();
    private readonly Task _running;

    private MailWorkload(ClusterLab lab, IReadOnlyCollection<ListedSuspect> listedBefore, string name, int seed, Func<SinkStage, string, SinkAction> trouble, int sessions, CancellationToken token)
    {
        _lab = lab;
        _listedBefore = listedBefore;
        _sink = new SmtpSink { Script = trouble };
        foreach (var node in lab.Nodes)
        {
            _sink.Listen(node.Host.OpenSocket(), LabNode.SinkPort);
        }

        _clients = [.. lab.Nodes.Select(node => new LoadClient(new LoadPlan
        {
            Port = LabNode.SmtpPort,
            OpenSocket = node.Host.OpenSocket,
            Patience = Patience,
            Name = $"{name}-{node.Name}",
            Sessions = sessions,
            HasLarge = true,
            Seed = HashCode.Combine(seed, node.Index),
        }))];
        _running = Task.WhenAll(_clients.Select(client => client.RunAsync(_stop.Token, token)));
    }

    /// <inheritdoc/>
    public override IEnumerable<AnsweredCall> Answered =>
        from node in Enumerable.Range(0, _clients.Length)
        from message in _clients[node].Sent
        where message.Outcome == SendOutcome.Acknowledged
        select new AnsweredCall(node, message.Called, message.Returned, IsWrite: true, message.Id);

    /// <summary>Messages that were acknowledged so far.</summary>
    public long Acknowledged => _clients.Sum(client => client.Acknowledged);

    /// <summary>The most connections to the next hop that were open at once.</summary>
    public int MostConnections => _sink.MostOpenConnections;

    /// <summary>Begins.</summary>
    /// <param name="lab">Whose nodes are sent mail.</param>
    /// <param name="name">Begins every message's id: unique.</param>
    /// <param name="seed">Decides sizes, bodies and choices.</param>
    /// <param name="trouble">What the next hop does.</param>
    /// <param name="token">Ends it at once.</param>
    public static Task<MailWorkload> StartAsync(ClusterLab lab, string name, int seed, Func<SinkStage, string, SinkAction> trouble, CancellationToken token) =>
        StartAsync(lab, name, seed, trouble, SessionsPerNode, token);

    /// <summary>The same with another number of clients for each node.</summary>
    public static Task<MailWorkload> StartAsync(ClusterLab lab, string name, int seed, int sessions, CancellationToken token) =>
        StartAsync(lab, name, seed, static (_, _) => SinkAction.Accept, sessions, token);

    /// <summary>The next hop and the account alone: the test itself sends, and says what (<see cref="Add"/>).</summary>
    public static Task<MailWorkload> WithoutAsync(ClusterLab lab, CancellationToken token) => StartAsync(lab, "", 0, static (_, _) => SinkAction.Accept, 0, token);

    /// <summary>Adds what the test has sent by itself.</summary>
    public void Add(SentMessage message) => _others.Enqueue(message);

    /// <summary>Waits until so many messages were acknowledged by each node.</summary>
    public Task UntilAcknowledgedAsync(int count, TimeSpan limit, CancellationToken token) =>
        Task.WhenAll(_clients.Select(client => client.UntilAcknowledgedAsync(count, limit, token)));

    /// <summary>Ends the clients; every message under way is waited for.</summary>
    public async Task StopAsync()
    {
        await _stop.CancelAsync();
        await _running;
    }

    /// <summary>Waits until all is delivered and no node has anything queued, and compares.</summary>
    public async Task<LedgerVerdict> SettleAsync(CancellationToken token)
    {
        List<SentMessage> sent = [.. _clients.SelectMany(client => client.Sent), .. _others];
        await _sink.UntilDeliveredAsync(sent, SettleLimit, token);
        await LabQueue.UntilEmptyAsync(_lab, SettleLimit, token);
        var suspects = await LabQueue.SuspectsAsync(_lab, token);
        return MailLedger.Settle(sent, _sink.Copies, [.. suspects.Except(_listedBefore)], new SuspectCauses(_sink.Unanswered, MayHaveLostOwners));
    }

    /// <summary>How the messages ended, in a few words.</summary>
    public string Summary()
    {
        var ends = _clients.SelectMany(client => client.Sent).CountBy(message => message.Outcome).ToDictionary();
        var refusals = _clients.SelectMany(client => client.Sent).Where(message => message.Outcome == SendOutcome.Refused)
            .CountBy(message => message.Reply).Select(reply => string.Create(CultureInfo.InvariantCulture, $"; {reply.Value} × {reply.Key}"));
        return string.Create(
            CultureInfo.InvariantCulture,
            $"messages: {Count(SendOutcome.Acknowledged)} acknowledged, {Count(SendOutcome.Deferred)} answered 451, {Count(SendOutcome.Refused)} refused, {Count(SendOutcome.Unknown)} unknown{string.Concat(refusals.Take(5))}");

        int Count(SendOutcome outcome) => ends.GetValueOrDefault(outcome);
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        await _sink.DisposeAsync();
        _stop.Dispose();
    }

    private static async Task<MailWorkload> StartAsync(
        ClusterLab lab, string name, int seed, Func<SinkStage, string, SinkAction> trouble, int sessions, CancellationToken token) =>
        new(lab, await LabQueue.SuspectsAsync(lab, token), name, seed, trouble, sessions, token);
}
