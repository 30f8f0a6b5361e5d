import pytest

from espejo.sources.meta_notices import find_notice

PEOPLE = ("Lucía Roca", "Teo Paz")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Lucía Roca sent an attachment.", "media"),
        ("Lucía sent 3 photos.", "media"),
        ("Lucía Roca envió un archivo adjunto.", "media"),
        ("Enviaste un archivo adjunto.", "media"),
        ("Lucía Roca enviou um anexo.", "media"),
        ("Vous avez envoyé une pièce jointe.", "media"),
        ("Lucía Roca hat einen Anhang gesendet.", "media"),
        ("Lucía Roca ha inviato un allegato.", "media"),
        ("Teo missed your video call.", "call"),
        ("You missed a call from Lucía.", "call"),
        ("You missed a call from Lucía Roca", "call"),
        ("Lucía started sharing video.", "call"),
        ("Lucía Roca inició un chat de video.", "call"),
        ("You started an audio call", "call"),
        ("Audio call ended", "call"),
        ("Lucía unsent a message.", "deleted"),
        ("Lucía Roca eliminó un mensaje.", "deleted"),
        ("Liked a message", "system"),
        ("Reacted ❤️ to your message ", "system"),
        ("Reaccionó con 😮 a tu mensaje", "system"),
        ("Reagiu com 😂 à sua mensagem", "system"),
        ("A réagi 😂 à votre message", "system"),
        ("Hat mit 😂 auf deine Nachricht reagiert", "system"),
        ("Ha reagito con 😂 al tuo messaggio", "system"),
        ("A aimé un message", "system"),
        ("Curtiu uma mensagem", "system"),
        ("You are now connected on Messenger", "system"),
        ("Ahora están conectados en Messenger.", "system"),
        ("Lucía is waving at you!", "system"),
        ("Lucía Roca named the group Los del fondo.", "system"),
        ("Lucía set the nickname for Teo Paz to Teíto.", "system"),
        ("Lucía Roca cambió la foto del grupo.", "system"),
        ("Lucía Roca left the group", "system"),
        ("Teo wasn’t notified about this message because they’re in quiet mode.", "system"),
        ('Lucía created a poll: "¿asado?"', "system"),
        ("You and Teo waved at each other.", "system"),
    ],
)
def test_notices_in_six_languages(text, kind):
    assert find_notice(text, "Lucía Roca", PEOPLE) == kind


@pytest.mark.parametrize(
    "text",
    [
        "Teo sent an attachment.",  # under the name of another
        "lucía sent an attachment.",
        "Lucía sent an attachment. no lo abras",
        "sent an attachment.",
        "You sent a photo",  # the app writes a full stop
        "Reacted badly to your message",
        "I liked a message",
        "You called me.",
        "You missed a call from mum.",
        "Lucía Roca, DNI 12.345.678",
        "me gustó un mensaje",
        "Lucía",
        "a" * 10_000,
    ],
)
def test_what_people_type_is_no_notice(text):
    assert find_notice(text, "Lucía Roca", PEOPLE) is None


@pytest.mark.parametrize("text", ["You left the group.", "Saliste del grupo.", "You called Bea."])
def test_only_the_owner_of_a_download_is_you(text):
    assert find_notice(text, "Lucía Roca", PEOPLE, may_be_owner=True)
    assert find_notice(text, "Lucía Roca", PEOPLE, may_be_owner=False) is None


def test_a_deleted_account_is_called_like_the_app_calls_it():
    assert find_notice("Facebook user sent a photo.", "", PEOPLE) == "media"
    assert find_notice("Usuario de Instagram envió una foto.", "", PEOPLE) == "media"
