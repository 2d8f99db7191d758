using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Quorumail.Core.Cluster;
using Quorumail.Server.Torture.Ledger;
using Quorumail.Server.Torture.Load;
using Quorumail.Server.Torture.Sink;

namespace Quorumail.Server.Torture.Cluster;

/// <summary>A user's cluster. It is sent mail, and asked; what is done to it the user's own commands do.</summary>
internal sealed class GivenCluster(GivenClusterOptions options, TorturePlan plan, SmtpSink sink, TortureLog log) : ITortureCluster
{
    private static readonly TimeSpan ProbeLimit = TimeSpan.FromSeconds(30);

    private readonly HashSet<int> _broken = [];
    private readonly TortureNode[] _nodes = [.. options.Nodes.Select((node, index) => new TortureNode(NameOf(index), new IPEndPoint(IPAddress.None, node.Port)))];

    /// <inheritdoc/>
    public IReadOnlyList<TortureNode> Nodes => _nodes;

    /// <inheritdoc/>
    public SmtpSink Sink => sink;

    /// <inheritdoc/>
    public TortureApi Api { get; } = new(options.Api, options.Token);

    /// <inheritdoc/>
    public TimeSpan DrainLimit => TimeSpan.FromMinutes(30);

    /// <inheritdoc/>
    public IReadOnlyCollection<string> Failures => [];

    /// <inheritdoc/>
    public string? Directory => null;

    /// <summary>The address of a host's name, the first that the system tells.</summary>
    /// <exception cref="TortureException">It has none.</exception>
    public static async Task<IPAddress> ResolveAsync(PeerAddress address, CancellationToken token)
    {
        try
        {
            return IPAddress.TryParse(address.Host, out var ip) ? ip : (await Dns.GetHostAddressesAsync(address.Host, token))[0];
        }
        catch (SocketException e)
        {
            throw new TortureException($"{address.Host} has no address: {e.Message}");
        }
    }

    /// <inheritdoc/>
    public async Task StartAsync(CancellationToken token)
    {
        for (var i = 0; i < _nodes.Length; i++)
        {
            _nodes[i] = _nodes[i] with { Smtp = new IPEndPoint(await ResolveAsync(options.Nodes[i], token), options.Nodes[i].Port) };
        }

        log.Write(Preparation());
        if (await Api.QueuedAsync(plan.Domain, token) is null)
        {
            throw new TortureException($"nobody tells what is queued: {Api.LastFault}. Say --api http://HOST:PORT of a node ([http] bind_address and port; the token is that of [http] or SMTP_HTTP_TOKEN)");
        }

        for (var i = 0; i < _nodes.Length; i++)
        {
            log.Begin($"a probe through {options.Nodes[i]}");
            await ProbeAsync(i, token);
            log.End("arrived");
        }

        sink.Forget();
        if (options.Break is null)
        {
            log.Say("no --break is given: make faults yourself, after the time without faults, and undo them before the end");
        }
    }

    /// <inheritdoc/>
    public Task<TortureFault?> DrawAsync(Random random, CancellationToken token)
    {
        if (options.Break is null)
        {
            return Task.FromResult<TortureFault?>(null);
        }

        var index = random.Next(_nodes.Length);
        return Task.FromResult<TortureFault?>(new TortureFault
        {
            Kind = "--break",
            Name = $"--break of {NameOf(index)} ({options.Nodes[index]})",
            Lasts = TimeSpan.FromSeconds(2 + (random.NextDouble() * 8)),
            BreakAsync = async each =>
            {
                _broken.Add(index);
                await ShellCommand.RunAsync("--break", options.Break, index, options.Nodes[index], each);
            },
            MendAsync = each => MendAsync(index, each),
        });
    }

    /// <inheritdoc/>
    public async Task MendAsync(CancellationToken token)
    {
        foreach (var index in _broken.ToArray())
        {
            await MendAsync(index, token);
        }
    }

    /// <inheritdoc/>
    public void Keep()
    {
        // Nothing of it is ours.
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        // However it ends: nothing stays broken.
        try
        {
            await MendAsync(CancellationToken.None);
        }
        catch (TortureException e)
        {
            log.Write($"{e.Message}\nThis is left for you to mend.");
        }

        await sink.DisposeAsync();
        Api.Dispose();
    }

    private static string NameOf(int index) => string.Create(CultureInfo.InvariantCulture, $"node{index + 1}");

    private async Task MendAsync(int index, CancellationToken token)
    {
        await ShellCommand.RunAsync("--mend", options.Mend!, index, options.Nodes[index], token);
        _broken.Remove(index);
    }

    private string Preparation() => string.Create(CultureInfo.InvariantCulture, $"""

        Every node needs this route in its config.toml, and must let this machine send ([server] trusted_networks):

          [[routes]]
          match = "{plan.Domain}"
          transport = "smtp"
          host = "{(options.Sink.Host is "0.0.0.0" or "::" ? "this machine's address" : options.Sink.Host)}"
          port = {options.Sink.Port}

        Mail goes to r0@{plan.Domain}, r1@… and nobody else. The next hop refuses a few messages for now: with a short
        [queue] retry_schedule, and [cluster] in_doubt_wait, the end takes seconds; with the default it takes many minutes.

        """);

    // One message by each node: what is wrong with the way is better said before than found in a ledger.
    private async Task ProbeAsync(int index, CancellationToken token)
    {
        var address = options.Nodes[index];
        var probe = new LoadPlan
        {
            Address = _nodes[index].Smtp.Address,
            Port = _nodes[index].Smtp.Port,
            Name = $"{plan.Name}-probe-{NameOf(index)}",
            Sessions = 1,
            Messages = 1,
            MaximumRecipients = 1,
            Patience = ProbeLimit,
            Sender = $"sender@{plan.Domain}",
            Recipient = number => string.Create(CultureInfo.InvariantCulture, $"r{number}@{plan.Domain}"),
            Seed = index,
        };
        await GreetAsync(probe, address, token);
        var client = new LoadClient(probe);
        using var bound = CancellationTokenSource.CreateLinkedTokenSource(token);
        bound.CancelAfter(ProbeLimit);
        await client.RunAsync(bound.Token, token);
        var sent = client.Sent.FirstOrDefault();
        if (sent?.Outcome != SendOutcome.Acknowledged)
        {
            throw new TortureException(
                $"{address} did not take a message to r0@{plan.Domain}: {(sent is null || sent.Reply.Length == 0 ? "it answered nothing" : sent.Reply)}. May this machine relay there? See [server] trusted_networks");
        }

        await sink.UntilDeliveredAsync([sent], ProbeLimit, token);
        if (!sink.Copies.Any(copy => copy.Id == sent.Id))
        {
            throw new TortureException(
                $"{address} took a message to r0@{plan.Domain} ({sent.Reply}), and it did not arrive at {options.Sink} within {ProbeLimit.TotalSeconds} s. "
                + $"Is the route there on every node, and can they connect to this machine? `smtp-server queue list --domain {plan.Domain}` tells why it waits");
        }
    }

    private static async Task GreetAsync(LoadPlan probe, PeerAddress address, CancellationToken token)
    {
        try
        {
            using var conversation = await SmtpConversation.ConnectAsync(probe, token);
            var greeting = await conversation.ReadReplyAsync(token);
            if (greeting.Code != 220)
            {
                throw new TortureException($"{address} takes no mail: {greeting}");
            }
        }
        catch (Exception e) when (e is SocketException or IOException or TimeoutException)
        {
            throw new TortureException($"{address} takes no mail: {e.Message}. Is it running, and is that its SMTP port?");
        }
    }
}
