using Quorumail.Core.Delivery;
using Quorumail.Core.Delivery.Client;
using Quorumail.Core.Mail;
using Quorumail.Server.Configuration;
using Quorumail.Server.Limits;

namespace Quorumail.Server.Delivery;

/// <summary>What delivery is told by the configuration.</summary>
internal sealed record DeliverySettings
{
    /// <summary>Our name, in notices and to recognise ourselves as exchanger.</summary>
    public required string HostName { get; init; }

    /// <summary>Our name in EHLO.</summary>
    public required string HelloName { get; init; }

    /// <summary>Ports of our SMTP listeners.</summary>
    public required IReadOnlyList<int> OwnPorts { get; init; }

    /// <summary>Where domains go; Maildir routes name their folder.</summary>
    public required RouteTable Routes { get; init; }

    /// <summary>The mailbox of an address, or null for one named like the address.</summary>
    public Func<string, string?> MailboxOf { get; init; } = static _ => null;

    /// <summary>The addresses that mail to a sender goes to, as the directory has it: none if nobody here reads it.</summary>
    public Func<string, IReadOnlyList<string>> SendersOf { get; init; } = static address => [address];

    public RetryPolicy Retry { get; init; } = new();

    public DeliveryLimits Limits { get; init; } = new();

    public SmtpClientLimits ClientLimits { get; init; } = SmtpClientLimits.Default;

    public EightBitDowngrade Downgrade8Bit { get; init; } = EightBitDowngrade.Convert;

    /// <summary>How long one proposal may take before its outcome counts as unknown. Longer than an election.</summary>
    public TimeSpan ProposalTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Between two proposals of the same record.</summary>
    public TimeSpan RecordAgainAfter { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>What the configuration says.</summary>
    /// <param name="options">Valid.</param>
    /// <param name="directory">Who receives mail here.</param>
    public static DeliverySettings Of(QuorumailOptions options, RecipientDirectory directory) => new()
    {
        HostName = options.Server.Hostname,
        HelloName = options.EffectiveHelo,
        OwnPorts = [.. options.EffectiveListeners.Select(static listener => listener.Port)],
        Routes = new RouteTable([.. options.Routes.Select(route => RouteOf(route, options)), .. LocalRoutes(options)]),
        MailboxOf = directory.MailboxOf,
        SendersOf = directory.ReadersOf,
        Retry = new RetryPolicy
        {
            Schedule = [.. options.Queue.RetrySchedule.Select(static wait => (long)wait.TotalMilliseconds)],
            ExpireAfter = (long)options.Queue.ExpireAfter.TotalMilliseconds,
            ExpireNullSenderAfter = (long)options.Queue.ExpireAfterNullSender.TotalMilliseconds,
            DelayNoticeAfter = options.Queue.DelayNoticeAfter > TimeSpan.Zero
                ? (long)options.Queue.DelayNoticeAfter.TotalMilliseconds
                : NeverNotice,
        },
        Limits = new DeliveryLimits
        {
            Concurrency = options.Delivery.Concurrency,
            DestinationConcurrency = options.Delivery.ConcurrencyPerDestination,
        },
        Downgrade8Bit = options.Delivery.Downgrade8Bit,
    };

    /// <summary>Far beyond every expiry, in milliseconds.</summary>
    private const long NeverNotice = 100L * 365 * 24 * 60 * 60 * 1000;

    private const int SmtpPort = 25;
    private const int LmtpPort = 24;

    private static Route RouteOf(RouteOptions route, QuorumailOptions options) => new()
    {
        Match = route.Match,
        Transport = route.Transport,
        Host = route.Host,
        Port = route.Port > 0 ? route.Port : route.Transport == RouteTransport.Lmtp ? LmtpPort : SmtpPort,
        Tls = route.Tls ?? options.Delivery.Tls,
        ImplicitTls = route.ImplicitTls,
        UserName = route.User.Length > 0 ? route.User : null,
        Password = route.Password.Length > 0 ? route.Password : null,
        ConnectionLimit = route.MaxConnections > 0
            ? LimitNames.OfRoute(LimitNames.ConnectionsPerDestination, route.Match)
            : LimitNames.ConnectionsPerDestination,
        DeliveryLimit = route.MaxDeliveries.IsNone
            ? LimitNames.DeliveriesPerDestination
            : LimitNames.OfRoute(LimitNames.DeliveriesPerDestination, route.Match),
        Path = route.Path.Length > 0 ? route.Path : options.Storage.EffectiveMaildirPath,
        IsShared = !options.Cluster.Enabled || route.Shared || (route.Path.Length == 0 && options.Storage.MaildirShared),
    };

    /// <summary>Local domains go into Maildirs unless a route says otherwise: of equal patterns the first wins.</summary>
    private static IEnumerable<Route> LocalRoutes(QuorumailOptions options)
    {
        foreach (var domain in options.EffectiveLocalDomains)
        {
            yield return new Route
            {
                Match = domain,
                Transport = RouteTransport.Maildir,
                Path = options.Storage.EffectiveMaildirPath,
                IsShared = !options.Cluster.Enabled || options.Storage.MaildirShared,
            };
        }

        if (!options.Routes.Any(static route => route.Match == "*"))
        {
            yield return new Route
            {
                Match = "*",
                Transport = RouteTransport.Mx,
                Tls = options.Delivery.Tls,
                ConnectionLimit = LimitNames.ConnectionsPerDestination,
                DeliveryLimit = LimitNames.DeliveriesPerDestination,
            };
        }
    }
}
