using System.Net;

namespace Quorumail.Server.Delivery.Dns;

/// <summary>An address to connect to.</summary>
/// <param name="Host">The name that TLS and logs know it by.</param>
/// <param name="EndPoint">Where.</param>
public sealed record DeliveryTarget(string Host, IPEndPoint EndPoint)
{
    /// <summary>As in logs and results: "mx1.example.org[192.0.2.1]:25".</summary>
    public override string ToString() => $"{Host}[{EndPoint.Address}]:{EndPoint.Port}";
}

/// <summary>The addresses of a destination, in the order in which they are to be tried, or why there are none.</summary>
/// <param name="Targets">At most <see cref="MxResolver.TargetsMax"/>.</param>
/// <param name="EnhancedCode">RFC 3463 status if there are none.</param>
/// <param name="Reason">One line of printable ASCII if there are none.</param>
public sealed record TargetResolution(IReadOnlyList<DeliveryTarget> Targets, string EnhancedCode = "", string Reason = "")
{
    /// <summary>Whether asking again later is of no use.</summary>
    public bool IsPermanent => EnhancedCode.StartsWith('5');
}
