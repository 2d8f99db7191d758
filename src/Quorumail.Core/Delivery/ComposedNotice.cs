using Quorumail.Core.Mail;

namespace Quorumail.Core.Delivery;

/// <summary>A notice ready to be stored.</summary>
/// <param name="Body">The whole message, lines ended by CRLF, none longer than 998 octets.</param>
/// <param name="Traits">What the next hop must be able to take.</param>
public sealed record ComposedNotice(byte[] Body, BodyTraits Traits);
