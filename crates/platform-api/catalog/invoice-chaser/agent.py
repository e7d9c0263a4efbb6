"""Finds overdue invoices and drafts a reminder for each; a person sends them."""

import os
from datetime import datetime, timezone

from openai import OpenAI

import mail
import stripe_invoices

SYSTEM_PROMPT = os.environ.get(
    "SYSTEM_PROMPT",
    "You write short, polite reminders about unpaid invoices. You never threaten, never offer discounts, and you "
    "name the invoice's number, amount and due date.",
)

client = OpenAI()


def reminder(invoice, days_late):
    tone = "friendly" if days_late < 14 else "firm but polite"
    completion = client.chat.completions.create(
        model="gpt-4o-mini",
        temperature=0.3,
        messages=[
            {"role": "system", "content": SYSTEM_PROMPT},
            {
                "role": "user",
                "content": f"Write a {tone} reminder. Invoice {invoice['number']}, "
                f"{invoice['amount_due'] / 100:.2f} {invoice['currency'].upper()}, due {days_late} days ago, "
                f"for {invoice.get('customer_name') or 'the customer'}.",
            },
        ],
    )
    return completion.choices[0].message.content


def handler(request):
    now = datetime.now(timezone.utc)
    drafted = []
    for invoice in stripe_invoices.overdue(now):
        days_late = (now - stripe_invoices.due_date(invoice)).days
        draft = mail.draft(
            to=invoice["customer_email"],
            subject=f"Invoice {invoice['number']}",
            text=reminder(invoice, days_late),
        )
        drafted.append({"invoice": invoice["number"], "days_late": days_late, "draft": draft})
    return {"response": f"{len(drafted)} reminders wait for you as drafts.", "drafts": drafted}
