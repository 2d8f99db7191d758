using Prometheus;

namespace Quorumail.Server.Http;

/// <summary>
/// Every figure that /metrics shows, each defined once with its exact name, HELP and TYPE. Others count by calling
/// <c>Inc</c> here; what is derived from state is set when a scrape asks.
/// </summary>
public static class Metrics
{
    /// <summary>The registry behind /metrics: ours alone, without the library's own meters.</summary>
    public static CollectorRegistry Registry { get; } = Prometheus.Metrics.NewCustomRegistry();

    private static readonly MetricFactory Factory = Prometheus.Metrics.WithCustomRegistry(Registry);

    /// <summary>SMTP connections accepted, port checks included.</summary>
    public static Counter Connections { get; } =
        Factory.CreateCounter("smtp_connections_total", "SMTP connections accepted since start.");

    /// <summary>SMTP connections open.</summary>
    public static Gauge ConnectionsActive { get; } =
        Factory.CreateGauge("smtp_connections_active", "SMTP connections open now.");

    /// <summary>Messages answered with 250: they are durable.</summary>
    public static Counter MessagesReceived { get; } =
        Factory.CreateCounter("smtp_messages_received_total", "Messages accepted with 250 since start.");

    /// <summary>Sessions at most.</summary>
    public static Gauge ConnectionsMax { get; } =
        Factory.CreateGauge("smtp_max_connections", "SMTP connections open at once at most.");

    /// <summary>Replies 4yz and 5yz to clients.</summary>
    public static Counter Errors { get; } =
        Factory.CreateCounter("smtp_errors_total", "Replies to SMTP clients that said no (4yz and 5yz) since start.");

    /// <summary>Messages refused at MAIL, for want of recipients, within the data or at its end.</summary>
    public static Counter MessagesRejected { get; } =
        Factory.CreateCounter("smtp_messages_rejected_total", "Messages refused since start.");

    /// <summary>Recipients refused at RCPT.</summary>
    public static Counter RecipientsRejected { get; } =
        Factory.CreateCounter("smtp_recipients_rejected_total", "Recipients refused at RCPT since start.");

    /// <summary>AUTH that succeeded.</summary>
    public static Counter AuthSuccesses { get; } =
        Factory.CreateCounter("smtp_auth_successes_total", "Successful AUTH commands since start.");

    /// <summary>AUTH that failed.</summary>
    public static Counter AuthFailures { get; } =
        Factory.CreateCounter("smtp_auth_failures_total", "Failed AUTH commands since start.");

    private static readonly Counter AuthAttempts = Factory.CreateCounter(
        "smtp_auth_attempts_total",
        "AUTH commands that came to a result since start, by result: success or failure.",
        ["result"]);

    /// <summary>Attempts to log in that succeeded.</summary>
    public static Counter.Child AuthAttemptsSucceeded { get; } = AuthAttempts.WithLabels("success");

    /// <summary>Attempts to log in that failed.</summary>
    public static Counter.Child AuthAttemptsFailed { get; } = AuthAttempts.WithLabels("failure");

    /// <summary>Connections and messages refused because of a limit per address or in all.</summary>
    public static Counter RateLimitHits { get; } =
        Factory.CreateCounter("smtp_rate_limit_hits_total", "Connections and messages refused by a limit since start.");

    /// <summary>What a limit of the whole cluster refused here, by its name.</summary>
    public static Counter LimitRefusals { get; } =
        Factory.CreateCounter("smtp_limit_refused_total", "Messages and recipients that a limit of the cluster refused on this node, and deliveries that it held back, since start, by limit.", ["limit"]);

    private static readonly Counter Sent = Factory.CreateCounter(
        "smtp_messages_sent_total",
        "Recipients whose delivery ended, by status: delivered or failed.",
        ["status"]);

    /// <summary>Recipients delivered.</summary>
    public static Counter.Child SentDelivered { get; } = Sent.WithLabels("delivered");

    /// <summary>Recipients that bounced or were dropped.</summary>
    public static Counter.Child SentFailed { get; } = Sent.WithLabels("failed");

    /// <summary>Messages that an operator has deleted, on the node that was to deliver them.</summary>
    public static Counter MessagesDeleted { get; } =
        Factory.CreateCounter("smtp_messages_deleted_total", "Messages of this node that operators deleted since start.");

    /// <summary>Their recipients that were not final: with the delivered, the failed and those in the queue these are all that were accepted.</summary>
    public static Counter RecipientsDeleted { get; } =
        Factory.CreateCounter("smtp_recipients_deleted_total", "Recipients, neither delivered nor failed, of messages of this node that operators deleted since start.");

    /// <summary>Attempts that ended in a deferral, per recipient.</summary>
    public static Counter Deferrals { get; } =
        Factory.CreateCounter("smtp_deferrals_total", "Temporary failures of delivery, per recipient, since start.");

    /// <summary>Attempts whose outcome is unknown, per recipient.</summary>
    public static Counter InDoubt { get; } =
        Factory.CreateCounter("smtp_deliveries_in_doubt_total", "Deliveries without a reply after the final dot, per recipient, since start.");

    /// <summary>Notices that were not sent, for their reader's address is ours and nobody has it.</summary>
    public static Counter NoticesUnaddressed { get; } =
        Factory.CreateCounter("smtp_notices_unaddressed_total", "Delivery notices not sent since start, because the sender's address is local and unknown.");

    /// <summary>Log lines that were dropped because their reader was too slow.</summary>
    public static Counter LogLinesDropped { get; } =
        Factory.CreateCounter("smtp_log_lines_dropped_total", "Log lines dropped because standard output was too slow.");

    /// <summary>Time from the end of the data to the reply: body, commit and fsync.</summary>
    public static Histogram CommitDuration { get; } = Factory.CreateHistogram(
        "smtp_commit_duration_seconds",
        "Time from the end of a message's data to its reply.",
        new HistogramConfiguration { Buckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10] });

    /// <summary>Time from MAIL to the 250 of accepted messages, the client's own pauses included.</summary>
    public static Histogram ProcessingDuration { get; } = Factory.CreateHistogram(
        "smtp_processing_duration_seconds",
        "Time from MAIL to the reply of accepted messages.",
        new HistogramConfiguration { Buckets = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60, 300, 3600] });

    /// <summary>Octets of accepted messages.</summary>
    public static Histogram MessageSize { get; } = Factory.CreateHistogram(
        "smtp_message_size_bytes",
        "Size of accepted messages.",
        new HistogramConfiguration { Buckets = [1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864] });
}
