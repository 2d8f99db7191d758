using System.Net;
using System.Text.Json;
using Quorumail.Core.Limits;
using Quorumail.Core.Mail;
using Quorumail.Core.Queue;
using Quorumail.Server.Configuration;
using Quorumail.Server.Http;
using Quorumail.Server.Queue;
using Quorumail.Server.Tests.Logging;
using Quorumail.Server.Tests.Queue;
using Quorumail.Server.Tests.Storage;

namespace Quorumail.Server.Tests.Http;

/// <summary>The administration interface of a real queue that stands alone.</summary>
internal sealed class QueueServer : IAsyncDisposable
{
    private readonly TemporaryDirectory _directory = new();
    private readonly HttpClient _client = new();
    private HttpServer _http = null!;

    private QueueServer()
    {
    }

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public MailQueue Queue { get; private set; } = null!;

    /// <summary>What queue and interface have logged.</summary>
    public KeptLogs Logs { get; } = new();

    public ServerStatus Status { get; } = new(TimeProvider.System);

    public int Port => _http.EndPoint.Port;

    public IEnumerable<(string Method, string Path)> Routes => _http.Routes;

    public static async Task<QueueServer> StartAsync(string token = "")
    {
        var server = new QueueServer();
        server.Queue = await MailQueueTests.OpenAsync(server._directory, "node1", server.Logs);
        server.Open(QueueAdministration.Of(server.Queue));
        server.Status.Open(new StandaloneView("node1", server.Status, TimeProvider.System));
        server.Status.SetPhase(null);
        server._http = await HttpServer.StartAsync(new HttpOptions { Port = 0, Token = token }, server.Status, server.Logs, Token);
        return server;
    }

    /// <summary>Shows the queue with another administration.</summary>
    public void Open(QueueAdministration administration)
    {
        var queue = Queue;
        Status.Open(new QueueView(() => queue.Counts, () => queue.CommitIndex, () => queue.AppliedIndex)
        {
            Administration = administration,
            Limits = () => queue.Limits.Usage(queue.ClusterTime),
        });
    }

    /// <summary>Has the log decide about limits.</summary>
    public async Task LimitAsync(params LimitCommand[] commands)
    {
        foreach (var command in commands)
        {
            Assert.Equal(LimitStatus.Granted, (await Queue.ProposeAsync(command, Token))!.Value.Status);
        }
    }

    public async Task<QueueId> EnqueueAsync(string from, params string[] recipients)
    {
        var id = Queue.NewId();
        var receipt = await BodyStoreTests.WriteAsync(Queue.Bodies, id, BodyStoreTests.Octets(100));
        var envelope = new Envelope(from, [.. recipients.Select(address => new EnvelopeRecipient(address))]);
        Assert.True((await Queue.EnqueueAsync(id, envelope, receipt, BodyTraits.EightBit, Token)).IsAccepted);
        return id;
    }

    /// <summary>Lets the next attempt for a recipient end.</summary>
    public async Task AttemptAsync(QueueId id, int recipient, RecipientOutcome outcome, string reply)
    {
        Assert.True(Queue.TryGet(id, out var message));
        var attempt = message.Recipients[recipient].Attempts + 1;
        Assert.True((await Queue.ProposeAsync(new AttemptStartedCommand(id, message.Epoch, attempt, [recipient]), Token)).IsAccepted);
        var result = new RecipientResult(recipient, outcome, reply, "4.2.0", "mx.example[192.0.2.1]:25", Queue.ClusterTime + 3_600_000);
        Assert.True((await Queue.ProposeAsync(new AttemptEndedCommand(id, message.Epoch, attempt, [result], []), Token)).IsAccepted);
    }

    public async Task<(HttpStatusCode Status, JsonElement Body)> SendAsync(HttpMethod method, string path)
    {
        using var request = new HttpRequestMessage(method, new Uri($"http://127.0.0.1:{Port}{path}"));
        using var response = await _client.SendAsync(request, Token);
        using var body = JsonDocument.Parse(await response.Content.ReadAsStringAsync(Token));
        return (response.StatusCode, body.RootElement.Clone());
    }

    public async Task<JsonElement> GetAsync(string path) => await DoAsync(HttpMethod.Get, path);

    public async Task<JsonElement> DoAsync(HttpMethod method, string path)
    {
        var (status, body) = await SendAsync(method, path);
        Assert.True(status == HttpStatusCode.OK, $"{method} {path}: {(int)status} {body}");
        return body;
    }

    public async ValueTask DisposeAsync()
    {
        _client.Dispose();
        await _http.DisposeAsync();
        await Queue.DisposeAsync();
        _directory.Dispose();
    }
}
