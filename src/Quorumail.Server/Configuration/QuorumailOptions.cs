namespace Quorumail.Server.Configuration;

/// <summary>The whole configuration, a record a table. Immutable: read once at start, checked as a whole.</summary>
public sealed record QuorumailOptions
{
    /// <summary><c>[server]</c></summary>
    public ServerOptions Server { get; init; } = new();

    /// <summary><c>[storage]</c></summary>
    public StorageOptions Storage { get; init; } = new();

    /// <summary><c>[http]</c></summary>
    public HttpOptions Http { get; init; } = new();

    /// <summary><c>[tls]</c></summary>
    public TlsOptions Tls { get; init; } = new();

    /// <summary><c>[queue]</c></summary>
    public QueueOptions Queue { get; init; } = new();

    /// <summary><c>[limits]</c></summary>
    public LimitsOptions Limits { get; init; } = new();

    /// <summary><c>[delivery]</c></summary>
    public DeliveryOptions Delivery { get; init; } = new();

    /// <summary><c>[logging]</c></summary>
    public LoggingOptions Logging { get; init; } = new();

    /// <summary><c>[cluster]</c></summary>
    public ClusterOptions Cluster { get; init; } = new();

    /// <summary><c>[[listeners]]</c></summary>
    public IReadOnlyList<ListenerOptions> Listeners { get; init; } = [];

    /// <summary><c>[[routes]]</c></summary>
    public IReadOnlyList<RouteOptions> Routes { get; init; } = [];

    /// <summary><c>[[users]]</c></summary>
    public IReadOnlyList<UserOptions> Users { get; init; } = [];

    /// <summary><c>[aliases]</c>: from an address, a local part, or <c>@domain</c>, to addresses, mailboxes or further aliases.</summary>
    public IReadOnlyDictionary<string, IReadOnlyList<string>> Aliases { get; init; } =
        new Dictionary<string, IReadOnlyList<string>>(StringComparer.OrdinalIgnoreCase);

    /// <summary><c>[server] local_domains</c>, or what stands in for it when it is empty.</summary>
    public IReadOnlyList<string> EffectiveLocalDomains =>
        Server.LocalDomains.Count > 0 ? Server.LocalDomains
        : Server.Hostname.Equals("localhost", StringComparison.OrdinalIgnoreCase) ? ["localhost"]
        : ["localhost", Server.Hostname];

    /// <summary>Every SMTP listener: that of <c>[server]</c> first, then <c>[[listeners]]</c>.</summary>
    public IReadOnlyList<ListenerOptions> EffectiveListeners =>
    [
        new ListenerOptions
        {
            Address = Server.Host,
            Port = Server.Port,
            Role = ListenerRole.Mx,
            Tls = ListenerTls.Starttls,
        },
        .. Listeners,
    ];

    /// <summary>Our name in EHLO to others.</summary>
    public string EffectiveHelo => Delivery.Helo.Length > 0 ? Delivery.Helo : Server.Hostname;
}
