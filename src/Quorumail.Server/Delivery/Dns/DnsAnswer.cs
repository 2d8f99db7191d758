namespace Quorumail.Server.Delivery.Dns;

/// <summary>How a question to the DNS ended.</summary>
public enum DnsStatus
{
    /// <summary>At least one record.</summary>
    Found = 0,

    /// <summary>The name exists, but has no such record.</summary>
    NoData = 1,

    /// <summary>NXDOMAIN: there is no such name.</summary>
    NoSuchName = 2,

    /// <summary>SERVFAIL, a time-out, or no server reached: to be asked again.</summary>
    Failed = 3,
}

/// <summary>A mail exchanger (RFC 5321 5.1).</summary>
/// <param name="Preference">Lower is tried first.</param>
/// <param name="Host">Without the last dot; empty for a null MX (RFC 7505).</param>
public readonly record struct MailExchanger(int Preference, string Host);

/// <summary>An answer of the DNS.</summary>
/// <param name="Status">How it ended.</param>
/// <param name="Records">Empty unless found.</param>
/// <param name="Detail">For the operator, if it failed.</param>
public readonly record struct DnsAnswer<T>(DnsStatus Status, IReadOnlyList<T> Records, string Detail = "");
