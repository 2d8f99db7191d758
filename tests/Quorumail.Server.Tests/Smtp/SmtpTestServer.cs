using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Quorumail.Core.Mail;
using Quorumail.Core.Smtp;
using Quorumail.Core.Smtp.Authentication;
using Quorumail.Server.Limits;
using Quorumail.Server.Smtp;
using Quorumail.Server.Storage;
using Quorumail.Server.Tests.Limits;
using Quorumail.Server.Tests.Storage;

namespace Quorumail.Server.Tests.Smtp;

/// <summary>The receiving side with its real listeners and body store, over loopback, with a queue that the test directs.</summary>
internal sealed class SmtpTestServer : IAsyncDisposable
{
    private readonly TemporaryDirectory _directory = new();
    private Database _database = null!;
    private SmtpServer _server = null!;
    private SharedLimits _limits = null!;

    private SmtpTestServer() => Limits = new DirectLog(Time);

    public ScriptedQueue Queue { get; } = new();

    public FakeTimeProvider Time { get; } = new(new DateTimeOffset(2026, 11, 23, 1, 2, 3, TimeSpan.Zero));

    /// <summary>The log of the limits, of which there are none until the test defines some.</summary>
    public DirectLog Limits { get; }

    /// <summary>The mail events.</summary>
    public MailLines MailLog { get; } = new();

    /// <summary>What else is logged.</summary>
    public MailLines Log { get; } = new();

    public SmtpServices Services { get; private set; } = null!;

    public SmtpListener Listener { get; private set; } = null!;

    public BodyStore Bodies { get; private set; } = null!;

    public StorageHealth Health => _database.Health;

    public IPEndPoint EndPoint { get; private set; } = null!;

    public string CertificatePath => Path.Combine(_directory.Path, "cert.pem");

    public static async Task<SmtpTestServer> StartAsync(
        SmtpRole role = SmtpRole.Mx,
        bool hasCertificate = false,
        bool implicitTls = false,
        ReceivingOptions? options = null,
        SmtpLimits? limits = null,
        IPAddress? address = null,
        TimeSpan authenticationPause = default)
    {
        var server = new SmtpTestServer();
        server._database = Database.Open(new DatabaseOptions { Path = Path.Combine(server._directory.Path, "data") }, server.Time, NullLogger.Instance);
        server.Bodies = new BodyStore(server._database);
        var errors = new List<string>();
        var hash = PasswordHash.Create("secret", "0123456789abcdef"u8, PasswordHash.IterationsMin).ToString();
        var directory = new RecipientDirectory(
            ["here.test"],
            ["relayed.test"],
            [new DirectoryUser("joe", hash, ["joe@here.test"])],
            new Dictionary<string, IReadOnlyList<string>> { ["team"] = ["joe", "ann@elsewhere.test"] },
            errors);
        Assert.Empty(errors);
        if (hasCertificate)
        {
            server.WriteCertificate("first.test");
        }

        var receiving = (options ?? new ReceivingOptions()) with { AuthenticationPause = authenticationPause };
        server.Services = new SmtpServices(
            receiving,
            directory,
            new MessageIntake(server.Bodies, server._database.Health, server.Queue, server.Time, NullLogger.Instance),
            new SmtpConnections(receiving, server.Time),
            new PasswordVerifier(directory),
            server._limits = server.Limits.NodeOf("node"),
            hasCertificate ? new ServerCertificate(server.CertificatePath, string.Empty, server.Time, NullLogger.Instance) : null,
            server.Time,
            server.MailLog,
            server.Log);
        var listener = server.Listener = new SmtpListener(
            new IPEndPoint(address ?? IPAddress.Loopback, 0),
            new SmtpService("mx.test", role, limits ?? SmtpLimits.Default),
            implicitTls,
            OffersStartTls: !implicitTls);
        server._server = await SmtpServer.StartAsync(server.Services, [listener], NullLoggerFactory.Instance, CancellationToken.None);
        server.EndPoint = server._server.EndPoints[0].EndPoint;
        return server;
    }

    public void WriteCertificate(string name)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest($"CN={name}", key, HashAlgorithmName.SHA256);
        using var certificate = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
        File.WriteAllText(CertificatePath, certificate.ExportCertificatePem() + "\n" + key.ExportPkcs8PrivateKeyPem());
    }

    public async Task<SmtpTestClient> ConnectAsync()
    {
        var client = new TcpClient { NoDelay = true };
        await client.ConnectAsync(EndPoint, TestContext.Current.CancellationToken);
        return new SmtpTestClient(client);
    }

    /// <summary>
    /// Lets time pass until the reply is there: once would do, but for the moment at which the connection isn't waiting yet.
    /// </summary>
    public async Task<string> AdvanceUntilAsync(Task<string> reply, TimeSpan step)
    {
        while (!reply.IsCompleted)
        {
            Time.Advance(step);
            await Task.WhenAny(reply, Task.Delay(TimeSpan.FromMilliseconds(20), TestContext.Current.CancellationToken));
        }

        return await reply;
    }

    /// <summary>The stored message of an Enqueue.</summary>
    public async Task<byte[]> ReadBodyAsync(QueueId id)
    {
        if (Queue.Enqueued.Single(enqueue => enqueue.Id == id).Body is { IsEmpty: false } carried)
        {
            _database.Carried.Add(id, carried);
        }

        using var reader = await Bodies.OpenAsync(id, CancellationToken.None);
        var octets = new MemoryStream();
        while (await reader.ReadAsync(CancellationToken.None) is { IsEmpty: false } part)
        {
            octets.Write(part.Span);
        }

        return octets.ToArray();
    }

    public async ValueTask DisposeAsync()
    {
        await _server.DisposeAsync();
        await _limits.DisposeAsync();
        await _database.DisposeAsync();
        _directory.Dispose();
    }
}
