namespace Quorumail.Core.Delivery;

/// <summary>What a transport says of one recipient or of a whole transaction. Texts may come from a hostile peer as they are; they are cleaned when they are used.</summary>
/// <param name="Verdict">What it means.</param>
/// <param name="Text">The reply with its code ("550 5.1.1 no such user"; lines joined by a blank), or our own reason.</param>
/// <param name="EnhancedCode">RFC 3463 status; empty or unfitting ones are replaced by X.0.0.</param>
/// <param name="NextHop">Who answered, such as "mx1.example.org[192.0.2.1]:25"; empty if nobody was reached.</param>
/// <param name="Handover">For a delivery: who reports it.</param>
public sealed record DeliveryReply(
    DeliveryVerdict Verdict,
    string Text,
    string EnhancedCode,
    string NextHop,
    DeliveryHandover Handover = DeliveryHandover.Onward);
